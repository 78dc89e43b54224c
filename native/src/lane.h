// One lane: its ports, its frames, and the phases of a turn (runtime/dataplane/breathe.ts).
//
//   Inhale ──▶ hop ──Advance──▶ hop ──Advance──▶ … ──▶ Exhale
//      │        │ trap
//      │        └──Fault──▶ …
//      └ receive, parse, classify
//
// Used by one thread. Nothing between Inhale and Exhale allocates, throws or calls the kernel.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "abi.h"
#include "frame_pool.h"
#include "layout.h"
#include "port.h"
#include "program.h"
#include "record.h"
#include "segment.h"

namespace sluice {

// What became of a frame (layout::kOutcome*).
struct Outcome {
  uint64_t number;
  uint64_t time_ns;
  uint32_t detail;
  uint32_t flow;
  int16_t hop;
  uint16_t reason;
  uint8_t kind;
  uint8_t port;
  uint8_t to;
  uint8_t engine;
  uint16_t record;
  uint8_t reserved[6];
};
static_assert(sizeof(Outcome) == layout::kOutcomeBytes);
static_assert(offsetof(Outcome, record) == layout::kOutcomeRecord);

struct LaneConfig {
  std::shared_ptr<Segment> umem;
  std::shared_ptr<Segment> shared;
  std::shared_ptr<Segment> counters;
  uint32_t slot_bytes;
  uint32_t frames_address;
  uint32_t batch_limit;
  bool virtual_clock;
  bool keep_outcomes;
  uint64_t* lane_counters;
  std::vector<uint64_t*> port_counters;
};

class Lane {
 public:
  Lane(LaneConfig config, Program program);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  uint32_t AddPort(std::unique_ptr<Port> port);
  LaneMemory memory() { return {config_.umem->data(), pool_}; }
  const Segment& umem() const { return *config_.umem; }
  Hop& hop(uint32_t index) { return program_.hops[index]; }
  uint32_t hops() const { return static_cast<uint32_t>(program_.hops.size()); }

  // The phases. Each returns the first hop that has frames, or -1.
  int32_t Inhale();
  int32_t Advance(uint32_t hop);
  int32_t Fault(uint32_t hop);
  // layout::kExhale* bits.
  uint32_t Exhale();

  // Sleeps until a port has frames, the wake descriptor is written, or the time is over.
  void Wait(int timeout_ms);
  int wake_descriptor() const { return wake_; }

  const std::shared_ptr<std::vector<Outcome>>& outcomes() const { return outcomes_; }
  uint32_t TakeOutcomes();

  uint64_t NextTime();
  uint64_t received() const { return received_; }
  const FramePool& pool() const { return pool_; }

 private:
  struct Queue {
    uint32_t count = 0;
    std::array<uint16_t, abi::kBatchCapacity> records;
  };
  // A received frame and its number among all that this lane received.
  struct Flight {
    Frame frame;
    uint64_t number;
  };

  uint32_t Receive();
  uint32_t ReceiveInTurn();
  uint32_t ReceiveInTime();
  void Admit(uint32_t port, std::span<const Frame> frames);
  void Classify();
  const Path* FindPath(const Record& record) const;
  const uint8_t* BytesOf(const Record& record) const;

  int32_t Prepare();
  bool AllNext(uint32_t count) const;
  void Carry(uint32_t hop_index, uint32_t record_index, const Result& result);
  bool Accept(const Hop& hop, uint32_t record_index, const Result& result, uint32_t* why);
  bool Resize(uint32_t record_index, const Result& result);
  void Host(uint32_t record_index, int32_t hop, const Result& result);
  void Send(uint32_t record_index, Target target, int32_t hop);
  void SendAll(const Queue& queue, Target target, int32_t hop);
  void Drop(uint32_t record_index, int32_t hop, uint32_t reason, uint32_t detail);
  void DropByEngine(uint32_t record_index, int32_t hop, uint32_t reason, uint32_t kind);
  void Free(uint32_t record_index);
  void Note(uint32_t record_index, int32_t hop, uint32_t kind, uint32_t to, uint32_t reason, uint32_t detail,
            bool engine);
  void Transmit();
  void TransmitOn(uint32_t port, Queue& queue);
  void Publish();
  bool TickIsDue();
  void Count(uint32_t counter, uint64_t frames = 1) { config_.lane_counters[counter] += frames; }

  LaneConfig config_;
  Program program_;
  FramePool pool_;
  Batch* const batch_;
  Result* const results_;
  Record* const records_;
  const uint32_t slot_mask_;
  const int wake_;

  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<Queue> hop_queues_;
  std::vector<Queue> port_queues_;
  std::vector<uint64_t> refused_;  // by port: frames that it did not take
  std::array<Flight, abi::kBatchCapacity> flights_;
  std::array<Frame, abi::kBatchCapacity> staging_;
  std::array<uint16_t, abi::kBatchCapacity> arrivals_;
  uint32_t arrived_ = 0;
  uint32_t first_port_ = 0;  // rotates, so that no port starves the others
  uint32_t next_hop_ = 0;
  uint64_t received_ = 0;
  uint64_t clock_ns_ = 0;
  uint64_t next_tick_ns_ = 0;
  uint64_t ticks_ = 0;
  std::shared_ptr<std::vector<Outcome>> outcomes_;
  uint32_t outcome_count_ = 0;
};

}  // namespace sluice
