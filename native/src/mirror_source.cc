#include "mirror_source.h"

#include <algorithm>
#include <cstring>

#include "lane.h"
#include "parser.h"

namespace sluice {
namespace {

// What has no name, since it belongs to nobody.
constexpr uint16_t kNobody = UINT16_MAX;

template <typename T>
T At(const std::vector<T>& list, size_t index, T otherwise) {
  return index < list.size() ? list[index] : otherwise;
}

// A fault is the engine's word for what a function did; its other reasons have nothing to do with one.
Ending EndingOf(const EndingNames& names, uint8_t kind, uint8_t to, int16_t hop, bool engine, uint16_t reason,
                uint32_t detail) {
  if (kind == layout::kOutcomeKindsForward) return {kind, to, kNobody, kNobody, 0, 0};
  if (kind == layout::kOutcomeKindsConsume) return {kind, 0, kNobody, kNobody, 0, 0};
  const bool functions = hop >= 0 && (!engine || kind == layout::kOutcomeKindsFault);
  const uint16_t function = functions ? At(names.functions, hop, kNobody) : kNobody;
  if (engine) return {kind, 0, function, At(names.engine_reasons, reason, kNobody), 0, 0};
  static const std::vector<uint16_t> none;
  const auto& reasons = hop >= 0 && static_cast<size_t>(hop) < names.reasons.size() ? names.reasons[hop] : none;
  return {kind, 0, function, At(reasons, reason, kNobody), 0, detail};
}

Rewrite FindRewrite(const MirroredFrame& frame, std::span<const uint8_t> live, std::span<const uint8_t> next) {
  if (live.size() != next.size()) return Rewrite::kLength;
  const auto at = static_cast<uint32_t>(std::ranges::mismatch(live, next).in1 - live.begin());
  if (at == live.size()) return Rewrite::kNone;
  Record record = {};
  record.length = record.wire_length = static_cast<uint32_t>(live.size());
  record.link = frame.link;
  ParseFrame(live.data(), record);
  if (record.l3_offset == abi::kOffsetNone || at < record.l3_offset) return Rewrite::kLink;
  if (record.l4_offset == abi::kOffsetNone || at < record.l4_offset) return Rewrite::kNetwork;
  return record.payload_offset == abi::kOffsetNone || at < record.payload_offset ? Rewrite::kTransport
                                                                                 : Rewrite::kPayload;
}

}  // namespace

// ---- to the lane ----

bool MirrorSource::Fetch(Lane& lane) {
  if (taken_ < turn_.frames()) return true;
  FinishBlock(lane);
  MirrorRing& ring = mirror_->ring();
  if (ring.filled() == 0) return false;
  turn_.Read(ring.front());
  for (uint32_t i = 0; i < turn_.frames(); ++i) {
    const MirroredFrame& frame = turn_[i].frame;
    if (frame.begins && frame.flow < begun_.size()) begun_[frame.flow] = true;
  }
  lane.PassTime(turn_.clock_ns());
  return true;
}

bool MirrorSource::Hold(Lane& lane, const MirroredFrame& frame, std::span<const uint8_t> bytes, uint64_t time_ns) {
  if (taken_ < turn_.frames() || bytes.size() > lane.memory().pool.slot_bytes() - kHeadroomBytes) return false;
  FinishBlock(lane);
  held_.assign(bytes.begin(), bytes.end());
  turn_.Hold(frame, held_.data(), time_ns);
  lane.PassTime(time_ns);
  return true;
}

void MirrorSource::FinishBlock(Lane& lane) {
  for (const uint32_t slot : kept_) lane.memory().pool.Release(slot);
  kept_.clear();
  counters_.skipped += turn_.frames() - compared_in_block_;
  compared_in_block_ = 0;
  first_number_ += turn_.frames();
  if (turn_.bytes() > 0) mirror_->ring().Release(turn_.bytes());
  turn_.Clear();
  taken_ = 0;
}

bool MirrorSource::Watches(uint32_t index) const {
  const Place& place = turn_[index];
  return filter_.TakesComing(place.frame, place.bytes, place.has_outcome ? &place.outcome : nullptr);
}

bool MirrorSource::Take(LaneMemory memory, Frame* frame) {
  uint32_t slot;
  if (memory.pool.Take({&slot, 1}, SlotOwner::kLane) == 0) return false;
  const Place& place = turn_[taken_++];
  const uint32_t offset = slot * memory.pool.slot_bytes() + kHeadroomBytes;
  const uint32_t length = std::min(place.frame.length, memory.pool.slot_bytes() - kHeadroomBytes);
  std::memcpy(memory.umem + offset, place.bytes, length);
  *frame = {offset, length, place.frame.wire_length, place.frame.link, place.frame.oversize != 0, turn_.clock_ns()};
  ++counters_.frames;
  return true;
}

// ---- from the lane ----

void MirrorSource::Compare(Lane& lane) {
  const std::vector<Outcome>& outcomes = *lane.outcomes();
  const uint32_t count = lane.TakeOutcomes();
  for (uint32_t i = 0; i < count; ++i) {
    const Outcome& outcome = outcomes[i];
    if (outcome.number == 0) continue;  // a function built it
    const bool drops = outcome.kind == layout::kOutcomeKindsDrop || outcome.kind == layout::kOutcomeKindsFault;
    counters_.dropped += drops;
    counters_.faults += outcome.kind == layout::kOutcomeKindsFault && outcome.reason != layout::kEngineDropReasonsFault;
    const uint64_t index = outcome.number - first_number_;
    if (index < turn_.frames()) CompareOne(turn_[index], outcome, lane);
  }
}

// What only the devices decided says nothing of the functions.
bool MirrorSource::IsComparable(const Place& place) const {
  if (!place.has_outcome) return false;
  const uint32_t flow = place.frame.flow;
  if (new_flows_only_ && flow < begun_.size() && flow != 0 && !begun_[flow]) return false;
  const MirroredOutcome& outcome = place.outcome;
  return !outcome.engine ||
         (outcome.reason != layout::kEngineDropReasonsPortFull && outcome.reason != layout::kEngineDropReasonsPortGone);
}

void MirrorSource::CompareOne(const Place& place, const Outcome& outcome, Lane& lane) {
  if (!IsComparable(place)) return;
  const MirroredOutcome& noted = place.outcome;
  ++counters_.compared;
  ++compared_in_block_;
  const Ending live = EndingOf(live_names_, noted.kind, noted.to, noted.hop, noted.engine, noted.reason, noted.detail);
  const Ending next =
      EndingOf(next_names_, outcome.kind, outcome.to, outcome.hop, outcome.engine, outcome.reason, outcome.detail);
  const auto left = [](const Ending& ending) { return ending.kind == layout::kOutcomeKindsForward; };
  const Frame& frame = lane.frame(outcome.record);
  std::span<const uint8_t> live_bytes, next_bytes;
  if (left(live)) live_bytes = place.left();
  if (left(next)) next_bytes = {lane.memory().umem + frame.offset, frame.length};
  Rewrite rewrite = Rewrite::kNone;
  if (live == next) {
    if (!left(live)) return;
    rewrite = FindRewrite(place.frame, live_bytes, next_bytes);
    if (rewrite == Rewrite::kNone) return;
  }
  differences_.Add({live,
                    next,
                    rewrite,
                    place.frame.number,
                    place.frame.flow,
                    turn_.clock_ns(),
                    {place.bytes, place.frame.length},
                    live_bytes,
                    next_bytes});
}

}  // namespace sluice
