// A copy of a lane's flow file while the lane goes on: all of it once, then again and again what was touched meanwhile,
// until so little is left that the lane can copy it between two turns.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "private_memory.h"
#include "segment.h"
#include "state_copy.h"

namespace sluice {

// Which flows were changed, in blocks. The thread that changes a flow notes it after the change, so that who takes the
// note and then copies has either all of the change or another note.
class TouchedFlows {
 public:
  static constexpr uint32_t kBlockFlows = 16;

  TouchedFlows(PrivateMemory memory, uint32_t capacity)
      : memory_(std::move(memory)),
        blocks_(capacity / kBlockFlows + 1),
        touched_(static_cast<std::atomic<uint8_t>*>(memory_.data())) {}

  void Note(uint32_t flow) { touched_[flow / kBlockFlows].store(1, std::memory_order_release); }
  uint32_t blocks() const { return blocks_; }
  bool Take(uint32_t block) {
    if (touched_[block].load(std::memory_order_relaxed) == 0) return false;
    return touched_[block].exchange(0, std::memory_order_acq_rel) != 0;
  }

 private:
  const PrivateMemory memory_;
  const uint32_t blocks_;
  std::atomic<uint8_t>* const touched_;
};

class FlowCopy {
 public:
  // From the flow file `path` into `to`, which is all zeros. Null, with `error` filled, on failure.
  static std::unique_ptr<FlowCopy> Open(const std::string& path, std::shared_ptr<Segment> to, uint32_t capacity,
                                        SystemError* error);

  TouchedFlows& touched() { return touched_; }

  // While flows are noted: all that the file holds. errno, or 0.
  int CopyAll();
  // What was touched since it was copied last; the blocks that this were. Allocates nothing.
  uint32_t CopyTouched();

  // Of the last of these calls.
  uint64_t bytes() const { return bytes_; }

 private:
  FlowCopy(std::shared_ptr<Segment> from, std::shared_ptr<Segment> to, PrivateMemory touched, uint32_t capacity);
  void CopyBlock(uint32_t block);

  const std::shared_ptr<Segment> from_;
  const std::shared_ptr<Segment> to_;
  const uint32_t capacity_;
  TouchedFlows touched_;
  StateCopy all_;
  uint64_t bytes_ = 0;
};

}  // namespace sluice
