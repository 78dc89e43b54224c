// The last calls of one function, each with all that it was given, and the function's state before the first of them: a
// fault that ends them can be made to happen again exactly.
//
//   ┌─ state ─┬─ calls … ─────────┐┌─ state ─┬─ calls … ──┐
//   └─────────┴── the half before ┘└─────────┴─ this half ┘  when it is full, the other one begins anew
//
// Written by the thread that has the lane; read by it, or by another one when it has ended.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "private_memory.h"
#include "segment.h"

namespace sluice {

class FlightRecorder {
 public:
  // Of calls and of state in one half; address space until it is used.
  static constexpr size_t kCallsBytes = 8 << 20;
  static constexpr size_t kStateBytes = 16 << 20;

  // At least `batches` batches are kept, as far as kCallsBytes hold them. `globals`: how many of the function there
  // are. Null if there is no memory.
  static std::shared_ptr<FlightRecorder> Make(uint32_t batches, uint32_t globals);

  // What the state consists of besides globals. Memory is borrowed until the next call of this.
  void Watch(std::span<const uint8_t> memory, std::span<const uint8_t> counters,
             std::vector<std::shared_ptr<Segment>> segments);
  // Nothing is kept any more: what comes has nothing to do with what was.
  void Reset();

  // Where a call of so many bytes is to be written; null if it cannot be kept. Then, and whenever a half begins anew,
  // the state is due.
  uint8_t* Add(size_t bytes, bool is_batch);
  // Not 0: the state is to be taken before the call that was added last is made.
  uint32_t* due() { return &due_; }
  // 8 bytes each; to be filled in before TakeState.
  std::span<uint64_t> globals() { return globals_; }
  // False if the state is too large; nothing is kept from then on.
  bool TakeState();

  struct Recording {
    std::vector<uint64_t> globals;
    std::vector<std::span<const uint8_t>>
        parts;                          // memory, counters, then the segments: copied pages, but counters plain
    std::span<const uint8_t> calls[2];  // one behind the other
  };
  // False if there is nothing whose beginning is known.
  bool Read(Recording* recording) const;

 private:
  struct Half {
    PrivateMemory calls;
    PrivateMemory state;
    size_t bytes = 0;
    uint32_t batches = 0;
    bool has_state = false;
    std::vector<size_t> parts;  // bytes of each, behind each other in `state`
    std::vector<uint64_t> globals;

    void Clear() { bytes = batches = 0, has_state = false; }
  };

  FlightRecorder(uint32_t batches, uint32_t globals, Half first, Half second);
  bool CopyParts(Half* half);

  const uint32_t batches_;
  std::vector<uint64_t> globals_;
  std::span<const uint8_t> memory_;
  std::span<const uint8_t> counters_;
  std::vector<std::shared_ptr<Segment>> segments_;
  std::array<Half, 2> halves_;
  uint32_t current_ = 0;
  uint32_t due_ = 0;
  bool off_ = false;
};

}  // namespace sluice
