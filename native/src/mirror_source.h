// The shadow's end of a mirror: gives its lane the frames of one block after the other, and compares what became of
// them with what became of them in the mirrored lane. Used by the shadow's thread.
//
//   Fetch ─▶ turn of the shadow's lane ─▶ Compare ─▶ … until all frames of the block are taken ─▶ Fetch
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "abi.h"
#include "differences.h"
#include "mirror.h"

namespace sluice {

class Lane;
struct Outcome;

// From a lane's hops and reasons to the names that both lanes share.
struct EndingNames {
  std::vector<uint16_t> functions;             // by hop
  std::vector<std::vector<uint16_t>> reasons;  // by hop and reason
  std::vector<uint16_t> engine_reasons;
};

class MirrorSource {
 public:
  // `new_flows_only`: those that were there before are not compared.
  MirrorSource(std::shared_ptr<Mirror> mirror, EndingNames live, EndingNames next, bool new_flows_only)
      : mirror_(std::move(mirror)),
        live_names_(std::move(live)),
        next_names_(std::move(next)),
        new_flows_only_(new_flows_only),
        begun_(new_flows_only ? mirror_->flow_capacity() + 1 : 0) {}

  // Takes up the next block; false if there is none. The lane's clock is the mirrored lane's then.
  bool Fetch(Lane& lane);
  // After each turn, before anything of it is written over.
  void Compare(Lane& lane);

  // For the ports.
  uint64_t clock_ns() const { return head_.clock_ns; }
  bool NextIsOf(uint8_t port) const { return taken_ < head_.frames && frame(taken_).port == port; }
  bool Take(LaneMemory memory, Frame* frame);
  void Keep(uint32_t slot) { kept_.push_back(slot); }

  struct Counters {
    uint64_t frames = 0;  // that the shadow has received
    uint64_t compared = 0;
    uint64_t skipped = 0;  // received, but not to be compared
    uint64_t dropped = 0;  // by the shadow, faults included
    uint64_t faults = 0;   // frames for which the shadow's function returned what does not hold
  };
  const Counters& counters() const { return counters_; }
  const Differences& differences() const { return differences_; }

 private:
  struct Place {
    MirroredFrame frame;
    const uint8_t* bytes;
    MirroredOutcome outcome;
    const uint8_t* outcome_bytes;
    bool has_outcome;
  };

  const MirroredFrame& frame(uint32_t index) const { return places_[index].frame; }
  void ReadBlock(const uint8_t* block);
  void FinishBlock();
  void CompareOne(const Place& place, const Outcome& outcome, Lane& lane);
  bool IsComparable(const Place& place) const;

  const std::shared_ptr<Mirror> mirror_;
  const EndingNames live_names_;
  const EndingNames next_names_;
  const bool new_flows_only_;
  std::vector<bool> begun_;  // by the mirrored lane's flow: since it is mirrored
  MirrorBlock head_{};
  std::array<Place, abi::kBatchCapacity> places_;
  uint32_t taken_ = 0;
  uint64_t first_number_ = 1;  // the shadow's number of the block's first frame
  std::vector<uint32_t> kept_;
  uint64_t compared_in_block_ = 0;
  Counters counters_;
  Differences differences_;
};

}  // namespace sluice
