#include "mirrored_turn.h"

#include <cstring>

namespace sluice {

void MirroredTurn::Read(const uint8_t* block) {
  std::memcpy(&head_, block, sizeof(head_));
  loose_count_ = 0;
  const uint8_t* at = block + sizeof(head_);
  for (uint32_t i = 0; i < head_.frames; ++i) {
    std::memcpy(&places_[i].frame, at, sizeof(MirroredFrame));
    places_[i].bytes = at + sizeof(MirroredFrame);
    places_[i].has_outcome = false;
    at += sizeof(MirroredFrame) + MirrorPadded(places_[i].frame.length);
  }
  for (uint32_t i = 0; i < head_.outcomes; ++i) {
    MirroredOutcome outcome;
    std::memcpy(&outcome, at, sizeof(outcome));
    Note(outcome, at + sizeof(outcome));
    at += sizeof(outcome) + MirrorPadded(outcome.length);
  }
}

void MirroredTurn::Note(const MirroredOutcome& outcome, const uint8_t* bytes) {
  if (outcome.frame == kLooseOutcome) {
    if (loose_count_ < loose_.size()) loose_[loose_count_++] = {outcome, bytes};
    return;
  }
  Place& place = places_[outcome.frame];
  place.outcome = outcome;
  place.outcome_bytes = outcome.has_bytes ? bytes : place.bytes;
  place.has_outcome = true;
}

void MirroredTurn::Hold(const MirroredFrame& frame, const uint8_t* bytes, uint64_t clock_ns) {
  head_ = {.bytes = 0, .clock_ns = clock_ns, .frames = 1, .outcomes = 0};
  loose_count_ = 0;
  places_[0] = {.frame = frame, .bytes = bytes, .outcome = {}, .outcome_bytes = nullptr, .has_outcome = false};
}

}  // namespace sluice
