// One block of a mirror's ring, read: the frames of a turn, what became of them, and what else left.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "abi.h"
#include "layout.h"
#include "mirror.h"

namespace sluice {

class MirroredTurn {
 public:
  struct Place {
    MirroredFrame frame;
    const uint8_t* bytes;  // as it came
    MirroredOutcome outcome;
    const uint8_t* outcome_bytes;
    bool has_outcome;

    // As it left.
    std::span<const uint8_t> left() const { return {outcome_bytes, outcome.has_bytes ? outcome.length : frame.length}; }
  };
  // What became of a frame that is in no block, or in an earlier one.
  struct Loose {
    MirroredOutcome outcome;
    const uint8_t* bytes;
  };

  // What is read is valid as long as the block.
  void Read(const uint8_t* block);
  // Not of a ring: a turn with this frame alone.
  void Hold(const MirroredFrame& frame, const uint8_t* bytes, uint64_t clock_ns);
  void Clear() { head_ = {}, loose_count_ = 0; }

  // Of the block in the ring; 0 if there is none.
  uint64_t bytes() const { return head_.bytes; }
  uint64_t clock_ns() const { return head_.clock_ns; }
  uint32_t frames() const { return head_.frames; }
  const Place& operator[](uint32_t index) const { return places_[index]; }
  std::span<const Loose> loose() const { return {loose_.data(), loose_count_}; }

 private:
  void Note(const MirroredOutcome& outcome, const uint8_t* bytes);

  MirrorBlock head_{};
  std::array<Place, abi::kBatchCapacity> places_;
  std::array<Loose, 2 * layout::kRecordsCapacity> loose_;
  uint32_t loose_count_ = 0;
};

}  // namespace sluice
