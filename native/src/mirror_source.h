// The shadow's end of a mirror: gives its lane the frames of one block after the other, and compares what became of
// them with what became of them in the mirrored lane. Used by the shadow's thread.
//
//   Fetch ─▶ turn of the shadow's lane ─▶ Compare ─▶ … until all frames of the block are taken ─▶ Fetch
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "abi.h"
#include "differences.h"
#include "frame_filter.h"
#include "mirror.h"
#include "mirrored_turn.h"

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
  // In the place of a block, a frame that nobody else has received; false if it does not fit a slot.
  bool Hold(Lane& lane, const MirroredFrame& frame, std::span<const uint8_t> bytes, uint64_t time_ns);
  // After each turn, before anything of it is written over.
  void Compare(Lane& lane);

  // For the ports.
  uint64_t clock_ns() const { return turn_.clock_ns(); }
  bool NextIsOf(uint8_t port) const { return taken_ < turn_.frames() && turn_[taken_].frame.port == port; }
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

  // For who watches, between Fetch or Hold and the next one: frames that the filter takes, by their index in the turn.
  void Watch(FrameFilter filter) { filter_ = std::move(filter); }
  bool Watches(uint32_t index) const;
  const MirroredTurn& turn() const { return turn_; }
  // By which the shadow's lane knows the frame.
  uint64_t NumberOf(uint32_t index) const { return first_number_ + index; }

 private:
  using Place = MirroredTurn::Place;

  void FinishBlock(Lane& lane);
  void CompareOne(const Place& place, const Outcome& outcome, Lane& lane);
  bool IsComparable(const Place& place) const;

  const std::shared_ptr<Mirror> mirror_;
  const EndingNames live_names_;
  const EndingNames next_names_;
  const bool new_flows_only_;
  std::vector<bool> begun_;  // by the mirrored lane's flow: since it is mirrored
  MirroredTurn turn_;
  std::vector<uint8_t> held_;  // bytes of a frame that is in no block
  FrameFilter filter_;
  uint32_t taken_ = 0;
  uint64_t first_number_ = 1;  // the shadow's number of the block's first frame
  std::vector<uint32_t> kept_;
  uint64_t compared_in_block_ = 0;
  Counters counters_;
  Differences differences_;
};

}  // namespace sluice
