// The bytes of one direction that wait for what comes before them: blocks in order of their sequence numbers, none
// overlapping. Part of stream_table.cc.
#pragma once

#include <cstdint>

#include "stream_buffer.h"
#include "stream_state.h"

namespace sluice {

// Blocks that a flow holds, both directions together.
struct BlockAccount {
  uint16_t& used;
  uint16_t limit;
};

// A view of StreamState::tail; the list itself is in the blocks, circular: the last one's successor is the first.
class WaitingList {
 public:
  WaitingList(StreamBuffer& buffer, uint32_t& tail, BlockAccount account)
      : buffer_(buffer), tail_(tail), account_(account) {}

  bool empty() const { return tail_ == 0; }
  StreamBlock& head() { return buffer_[buffer_[tail_].next]; }

  // Compares `payload` with what waits already and marks where they differ; with kLast its bytes replace the others.
  void Reconcile(const Payload& payload, OverlapPolicy policy);

  // The first part of `payload` that does not wait already; empty if all of it does.
  Payload FirstMissing(Payload payload);

  // Copies `payload`, no byte of which waits already. Returns how many bytes found room. `lost` as in StreamBlock.
  uint32_t Insert(Payload payload, uint16_t lost, uint64_t now_ns);

  // Takes the first block out, for a chunk that lies in it. Returns where in the buffer its bytes are.
  uint32_t RetireHead();
  // Forgets all bytes from `end` on.
  void Truncate(uint32_t end);
  void Clear();

 private:
  // Where `sequence` belongs: behind that block, 0 for before all others.
  uint32_t Predecessor(uint32_t sequence);
  // What comes after `block`, or first if that is 0; 0 for nothing.
  uint32_t Successor(uint32_t block);
  uint32_t TakeHead();
  uint32_t Fill(uint32_t previous, const Payload& part, uint64_t now_ns);
  uint32_t Link(uint32_t previous, const Payload& part, uint64_t now_ns);
  void MergeSuccessor(uint32_t block);
  void ReleaseSuccessor(uint32_t block);

  StreamBuffer& buffer_;
  uint32_t& tail_;
  const BlockAccount account_;
};

}  // namespace sluice
