#include "frame_filter.h"

#include <algorithm>

#include "layout.h"
#include "parser.h"

namespace sluice {

bool FrameFilter::TakesComing(const MirroredFrame& frame, const uint8_t* bytes, const MirroredOutcome* outcome) const {
  if (!comes[frame.port] || (flow != 0 && frame.flow != flow)) return false;
  if (dropped_only && (outcome == nullptr || !TakesDrop(*outcome))) return false;
  return TakesBytes({bytes, frame.length}, frame.wire_length, frame.port, frame.link);
}

bool FrameFilter::TakesLeaving(const MirroredOutcome& outcome, std::span<const uint8_t> bytes, uint8_t link) const {
  if (outcome.kind != layout::kOutcomeKindsForward || dropped_only || !leaves[outcome.to]) return false;
  if (flow != 0 && outcome.flow != flow) return false;
  return TakesBytes(bytes, static_cast<uint32_t>(bytes.size()), outcome.port, link);
}

bool FrameFilter::TakesDrop(const MirroredOutcome& outcome) const {
  const bool dropped = outcome.kind == layout::kOutcomeKindsDrop || outcome.kind == layout::kOutcomeKindsFault;
  if (!dropped || causes.empty()) return dropped;
  return std::ranges::any_of(causes, [&](const Cause& cause) {
    const bool takes_reason = cause.reason == Cause::kAny || (cause.engine == (outcome.engine != 0) &&
                                                              cause.reason == static_cast<int32_t>(outcome.reason));
    const bool takes_detail = cause.detail == Cause::kAny || cause.detail == static_cast<int64_t>(outcome.detail);
    return takes_reason && takes_detail && (cause.hop == Cause::kAny || cause.hop == outcome.hop);
  });
}

bool FrameFilter::TakesBytes(std::span<const uint8_t> bytes, uint32_t wire_length, uint8_t port, uint8_t link) const {
  if (matches.empty()) return true;
  Record record = {};
  record.length = static_cast<uint32_t>(bytes.size());
  record.wire_length = wire_length;
  record.port = port;
  record.link = link;
  ParseFrame(bytes.data(), record);
  return std::ranges::any_of(matches, [&](const Match& match) { return Matches(match, record, bytes.data()); });
}

}  // namespace sluice
