#include "mirror_tap.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "abi.h"
#include "layout.h"

namespace sluice {

struct MirrorTap::Entry {
  uint64_t number;
  uint64_t time_ns;
  uint32_t flow;
  uint32_t wire_length;
  uint32_t kept;
  uint32_t detail;
  uint16_t reason;
  int16_t hop;
  uint8_t port;
  uint8_t to;
  uint8_t kind;
  uint8_t engine;
  uint8_t link;
  uint8_t leaves;
  uint8_t reserved[6];

  void Tell(const MirroredOutcome& outcome) {
    detail = outcome.detail;
    reason = outcome.reason;
    hop = outcome.hop;
    to = outcome.to;
    kind = outcome.kind;
    engine = outcome.engine;
  }
};

size_t MirrorTap::Read(std::span<uint8_t> to) {
  static_assert(sizeof(Entry) == layout::kTapEntryBytes);
  static_assert(offsetof(Entry, hop) == layout::kTapHop && offsetof(Entry, leaves) == layout::kTapLeaves);
  size_t used = 0;
  while (Fetch()) {
    if (!TakeNext(to, &used)) break;
    ++step_;
  }
  return used;
}

bool MirrorTap::Fetch() {
  while (step_ == steps()) {
    if (turn_.bytes() > 0) mirror_->ring().Release(turn_.bytes());
    turn_.Clear();
    step_ = 0;
    if (mirror_->ring().filled() == 0) return false;
    turn_.Read(mirror_->ring().front());
  }
  return true;
}

// False if there is no room for it.
bool MirrorTap::TakeNext(std::span<uint8_t> to, size_t* used) {
  const uint32_t frames = turn_.frames();
  if (step_ < frames) return TakeComing(turn_[step_], to, used);
  if (step_ < 2 * frames) return TakeLeaving(turn_[step_ - frames], to, used);
  return TakeLoose(turn_.loose()[step_ - 2 * frames], to, used);
}

bool MirrorTap::TakeComing(const MirroredTurn::Place& place, std::span<uint8_t> to, size_t* used) {
  const MirroredFrame& frame = place.frame;
  if (!filter_.TakesComing(frame, place.bytes, place.has_outcome ? &place.outcome : nullptr)) return true;
  Entry entry = {.number = frame.number,
                 .flow = frame.flow,
                 .wire_length = frame.wire_length,
                 .hop = -1,
                 .port = frame.port,
                 .kind = layout::kTapNoOutcome,
                 .link = frame.link};
  if (place.has_outcome) entry.Tell(place.outcome);
  return Write(entry, {place.bytes, frame.length}, to, used);
}

bool MirrorTap::TakeLeaving(const MirroredTurn::Place& place, std::span<uint8_t> to, size_t* used) {
  const MirroredFrame& frame = place.frame;
  if (!place.has_outcome || !filter_.TakesLeaving(place.outcome, place.left(), frame.link)) return true;
  const auto cut = frame.wire_length > frame.length ? frame.wire_length - frame.length : 0;
  Entry entry = {.number = frame.number,
                 .flow = frame.flow,
                 .wire_length = static_cast<uint32_t>(place.left().size()) + cut,
                 .port = frame.port,
                 .link = frame.link,
                 .leaves = 1};
  entry.Tell(place.outcome);
  return Write(entry, place.left(), to, used);
}

// A fragment that is dropped after it has waited is shown as it came, to who asked for drops: others have seen it.
bool MirrorTap::TakeLoose(const MirroredTurn::Loose& loose, std::span<uint8_t> to, size_t* used) {
  const MirroredOutcome& outcome = loose.outcome;
  const std::span<const uint8_t> bytes(loose.bytes, outcome.length);
  Entry entry = {.flow = outcome.flow, .wire_length = outcome.length, .port = outcome.port, .link = abi::kLinkEthernet};
  entry.Tell(outcome);
  if (filter_.TakesLeaving(outcome, bytes, entry.link)) {
    entry.leaves = 1;
    return Write(entry, bytes, to, used);
  }
  const MirroredFrame frame = {.length = outcome.length,
                               .wire_length = outcome.length,
                               .flow = outcome.flow,
                               .port = outcome.port,
                               .link = entry.link};
  if (!filter_.dropped_only || !filter_.TakesComing(frame, loose.bytes, &outcome)) return true;
  return Write(entry, bytes, to, used);
}

bool MirrorTap::Write(const Entry& entry, std::span<const uint8_t> bytes, std::span<uint8_t> to, size_t* used) {
  Entry whole = entry;
  whole.time_ns = turn_.clock_ns();
  whole.kept = std::min(static_cast<uint32_t>(bytes.size()), snap_bytes_);
  if (*used + sizeof(whole) + MirrorPadded(whole.kept) > to.size()) return false;
  std::memcpy(to.data() + *used, &whole, sizeof(whole));
  std::memcpy(to.data() + *used + sizeof(whole), bytes.data(), whole.kept);
  *used += sizeof(whole) + MirrorPadded(whole.kept);
  return true;
}

}  // namespace sluice
