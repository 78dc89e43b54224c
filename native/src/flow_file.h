// The shared file of a flow table as it lies in memory. The process may die between any two stores; what makes a flow
// or a tuple whole is one word, stored last.
//
//   page 0           header
//   first tuples     FlowTuple[capacity + 1], by flow
//   second tuples    FlowTuple[capacity + 1], by flow; pages that no function's binding needs stay holes
//   states           FlowState[capacity + 1], by flow, from a page's start
//
// Entry 0 of each is unused. Beyond header.used all is zero.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "flow_hash.h"
#include "flow_key.h"
#include "flow_state.h"
#include "flow_table.h"
#include "tcp_segment.h"

namespace sluice {

// Low byte of FlowTuple::word: the rest is the upper 56 bits of the key's hash, so that garbage is not taken for a
// tuple.
inline constexpr uint64_t kTupleSide = 0x01;      // index in the key of the endpoint that sends in direction 0
inline constexpr uint64_t kTupleBound = 0x02;     // of a first tuple: the second is to be looked at
inline constexpr uint64_t kTupleChanging = 0x40;  // being written or removed
inline constexpr uint64_t kTupleWhole = 0x80;

struct alignas(64) FlowTuple {
  FlowKey key;
  uint64_t word;  // 0: none
  union {
    FlowPorts ports;   // of a first tuple
    TcpShifts shifts;  // of a second one, bound or not; hold with kFlowFlagShifted
  };

  bool whole() const { return (word & kTupleWhole) != 0; }
  bool bound() const { return (word & (kTupleWhole | kTupleBound)) == (kTupleWhole | kTupleBound); }
  uint8_t side() const { return word & kTupleSide; }
};
static_assert(sizeof(FlowTuple) == 64);

inline uint64_t WordOf(uint64_t hash, uint8_t side) {
  return (hash & ~uint64_t{0xff}) | kTupleWhole | (side & kTupleSide);
}

// A store to a word that says what the stores around it mean: none of them moves across it. Release fences order all
// stores before them with all after; on x86, where the machine keeps the order of stores, they bind only the compiler.
// A process that dies has made some first stores in this order and none of the rest.
inline void StoreOrdered(uint64_t& word, uint64_t value) {
  std::atomic_thread_fence(std::memory_order_release);
  std::atomic_ref(word).store(value, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
}

struct FlowFileHeader {
  uint64_t magic;  // stored last
  uint64_t layout;
  uint64_t capacity;
  uint64_t seed;
  uint64_t used;  // no flow above this number was ever written
};

class FlowFile {
 public:
  static uint64_t BytesFor(uint32_t capacity);
  static uint64_t StatesOffset(uint32_t capacity);

  // `memory` has BytesFor(capacity) bytes from a page's start.
  FlowFile(std::span<uint8_t> memory, uint32_t capacity);

  // Whether the header is one of this layout and capacity.
  bool IsFormatted() const;
  // Makes an empty table of it.
  void Format(uint64_t seed);
  // Makes sure of what the layout promises beyond header.used, which itself may be garbage.
  void Trim();

  uint64_t seed() const { return header_->seed; }
  uint32_t used() const { return static_cast<uint32_t>(header_->used); }
  // Before `flow` is written for the first time.
  void RaiseUsed(uint32_t flow);

  // By number: the first tuple of `flow` is `flow`, the second `flow + second_base()`.
  FlowTuple& tuple(uint32_t number) const { return tuples_[number]; }
  uint32_t second_base() const { return capacity_ + 1; }
  FlowState* states() const { return states_; }

  // What a process that died may have left of a flow: keys and states are those that were written, or not taken.
  bool IsWholeTuple(uint32_t number, const FlowHash& hash) const;
  bool IsWholeFlow(uint32_t flow, const FlowHash& hash) const;
  // True if there was anything of it.
  bool Erase(uint32_t flow);

 private:
  void ClearEntries(uint32_t first);

  const std::span<uint8_t> memory_;
  const uint32_t capacity_;
  FlowFileHeader* const header_;
  FlowTuple* const tuples_;
  FlowState* const states_;
};

}  // namespace sluice
