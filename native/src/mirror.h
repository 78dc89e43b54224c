// What comes to a lane and what becomes of it, copied for the shadow of another generation (runtime/README.md,
// "Shadow").
//
//   lane: BeginTurn ─▶ Frame … ─▶ Outcome … ─▶ EndTurn        one block per turn, published whole
//   ring: │ MirrorBlock │ MirroredFrame, bytes │ … │ MirroredOutcome, bytes │ … │
//   shadow: MirrorSource
//
// The lane's thread neither allocates nor waits: a frame for which the ring has no room is not mirrored, nor is any
// later one of its flow, since the shadow would no longer know that flow's state. Who only looks wants what there is.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "flow_copy.h"
#include "layout.h"
#include "mirror_ring.h"
#include "port.h"
#include "private_memory.h"
#include "record.h"
#include "state_copy.h"

namespace sluice {

// All of these begin at multiples of 8 bytes.
struct MirrorBlock {
  uint64_t bytes;     // of the whole block
  uint64_t clock_ns;  // of the batch
  uint32_t frames;
  uint32_t outcomes;
};

// A frame as it was received; `length` bytes follow.
struct MirroredFrame {
  uint64_t number;  // the lane's
  uint32_t length;
  uint32_t wire_length;
  uint32_t flow;  // the lane's; 0: none
  uint8_t port;
  uint8_t link;
  uint8_t oversize;
  uint8_t begins;  // its flow
};

// What became of a frame of the block; `length` bytes follow if it may have left with others than it came with.
struct MirroredOutcome {
  uint16_t frame;  // its index in the block
  uint16_t reason;
  uint32_t detail;
  uint32_t length;
  int16_t hop;
  uint8_t kind;
  uint8_t to;
  uint8_t engine;
  uint8_t has_bytes;
  uint8_t port;   // where it came in
  uint8_t built;  // a function built it
  uint32_t flow;
};
static_assert(sizeof(MirrorBlock) == 24 && sizeof(MirroredFrame) == 24 && sizeof(MirroredOutcome) == 24);

// The `frame` of an outcome whose frame is in no block, or in an earlier one: what a function built, a fragment that
// waited. Its bytes are always there.
inline constexpr uint16_t kLooseOutcome = UINT16_MAX;

inline uint64_t MirrorPadded(uint64_t bytes) { return (bytes + 7) & ~uint64_t{7}; }

class FlowEngine;

class Mirror {
 public:
  // For a lane with slots and flows of that size. `whole_flows`: of a flow all frames, or none after one was missed.
  // Null, with `error` filled, if there is no memory.
  static std::shared_ptr<Mirror> Make(uint64_t ring_bytes, uint32_t slot_bytes, uint32_t flow_capacity,
                                      bool whole_flows, SystemError* error);
  Mirror(std::unique_ptr<MirrorRing> ring, PrivateMemory spoilt, uint32_t slot_bytes, uint32_t flow_capacity,
         bool whole_flows);

  enum class Phase : uint32_t {
    kClosed,       // nothing is mirrored
    kNotesWanted,  // before its next turn the lane is to begin to note which flows change
    kNoting,
    kCopyWanted,  // before its next turn the lane is to copy what is left of its state, and to mirror from then on
    kOpen,
    kFailed,  // the copy failed: copy_error()
  };
  Phase phase() const { return phase_.load(std::memory_order_acquire); }

  // The shadow's thread: what is to be copied, and the flow file, which most of the state is in.
  StateCopy& copy() { return copy_; }
  void SetFlows(std::unique_ptr<FlowCopy> flows) { flows_ = std::move(flows); }
  void Want(Phase phase) { phase_.store(phase, std::memory_order_release); }
  // While flows are noted: copies all once, and flows until few are left. errno, or 0.
  int PrepareCopy();
  uint64_t copied_bytes() const { return copied_bytes_; }
  uint64_t copy_ns() const { return copy_ns_; }
  int copy_error() const { return copy_error_; }
  MirrorRing& ring() { return *ring_; }
  uint32_t flow_capacity() const { return flow_capacity_; }

  // From any thread: frames that had no place, of all ports and of one.
  uint64_t missed() const { return missed_.load(std::memory_order_relaxed); }
  uint64_t missed_of(uint8_t port) const { return missed_of_[port].load(std::memory_order_relaxed); }

  // The lane's thread, in this order. `engine`: null if the lane keeps no flows.
  void BeginTurn(uint64_t clock_ns, FlowEngine* engine);
  void Frame(uint32_t record_index, const Record& record, const sluice::Frame& frame, uint64_t number,
             const uint8_t* bytes);
  // A record that holds no frame of this block.
  void Forget(uint32_t record_index) { entries_[record_index] = kNone; }
  // `bytes`: as the frame is now; `may_differ`: it may have left with others than it came with.
  void Outcome(uint32_t record_index, const MirroredOutcome& outcome, const sluice::Frame& frame, const uint8_t* bytes,
               bool may_differ);
  void EndTurn();
  // The lane lets go of it.
  void StopNoting(FlowEngine& engine);

 private:
  static constexpr uint16_t kNone = UINT16_MAX;
  static constexpr uint16_t kMissed = UINT16_MAX - 1;

  void Prepare(FlowEngine* engine);
  void CopyState();
  bool HasPlace(const Record& record, uint64_t needed);
  void Miss(uint8_t port);
  template <typename Entry>
  void Append(const Entry& entry, const uint8_t* bytes, uint32_t length);

  const std::unique_ptr<MirrorRing> ring_;
  const PrivateMemory spoilt_memory_;
  bool* const spoilt_;  // by flow: a frame of it is missing
  const uint32_t slot_bytes_;
  const uint32_t flow_capacity_;
  const bool whole_flows_;
  StateCopy copy_;
  std::unique_ptr<FlowCopy> flows_;
  uint64_t copied_bytes_ = 0;
  std::atomic<Phase> phase_ = Phase::kClosed;
  uint64_t copy_ns_ = 0;
  int copy_error_ = 0;
  std::atomic<uint64_t> missed_ = 0;
  std::array<std::atomic<uint64_t>, 256> missed_of_{};

  // The block that is being written; null between turns.
  uint8_t* block_ = nullptr;
  uint64_t used_ = 0;
  uint64_t reserved_ = 0;  // for the outcomes of its frames
  MirrorBlock head_{};
  uint64_t published_ns_ = 0;
  std::array<uint16_t, layout::kRecordsCapacity> entries_;  // by record: the frame's index in the block
};

}  // namespace sluice
