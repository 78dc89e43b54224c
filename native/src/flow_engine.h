// Finds, tracks and ends the flows of one lane, once per batch, for all functions of the chain.
//
//   fragments ──▶ keys ──▶ table (batched) ──▶ tracker ──▶ record.flow, direction, events, labels
//                              │ full: oldest unassured flow goes
//                              └ timers: expired flows end, and are reported
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "abi.h"
#include "canary.h"
#include "detours.h"
#include "expected_flows.h"
#include "flow_copy.h"
#include "flow_table.h"
#include "flow_timers.h"
#include "fragment_table.h"
#include "layout.h"
#include "record.h"
#include "report_ring.h"
#include "segment.h"
#include "spread_rule.h"
#include "stream_table.h"
#include "tcp_tracker.h"

namespace sluice {

// A per-flow array that functions own: zeroed where a flow begins.
struct FlowColumn {
  uint8_t* data;
  uint32_t bytes;  // per flow
  bool exported;   // copied into reports
};

// A flow event for those that subscribed.
struct FlowEvent {
  uint64_t time_ns;
  uint32_t flow;
  uint32_t event;
  uint32_t value;
  uint8_t direction;
};

// A ring of events that one subscriber has not taken yet.
struct FlowSubscriber {
  std::string name;
  uint32_t mask = 0;
  Side side = Side::kAny;  // of the flows whose events it takes
  uint32_t missed = 0;
  uint64_t head = 0;
  uint64_t tail = 0;
  std::unique_ptr<FlowEvent[]> ring;
};

// What of the engine a chain's generation decides; all else is the lane's for as long as it lives.
struct FlowProgram {
  TrackerConfig tracker;
  std::vector<uint16_t> zones;  // by port
  std::vector<FlowColumn> columns;
  std::vector<std::shared_ptr<Segment>> segments;  // that the columns are in
  std::vector<FlowSubscriber> subscribers;
  std::shared_ptr<Canary> canary;        // null: all flows stay
  std::unique_ptr<StreamTable> streams;  // for an engine that has none yet; it keeps it then
  std::shared_ptr<Segment> stream_buffer;
};

struct FlowEngineConfig {
  std::shared_ptr<Segment> flows;  // FlowTable::BytesFor(capacity)
  uint32_t capacity;
  uint64_t seed;
  TrackerConfig tracker;
  FragmentLimits fragments;
  std::vector<uint16_t> zones;  // by port
  std::vector<FlowColumn> columns;
  std::vector<std::shared_ptr<Segment>> segments;  // that the columns are in
  std::shared_ptr<Segment> stream_buffer;          // null: no function reads streams
  StreamLimits streams;
  bool keep_reports;
};

// A flow that has ended: what was known of it, and its exported columns behind each other, 8 bytes each.
struct FlowReport {
  uint32_t serial;
  uint8_t reply;       // 0: no second key; else the endpoint of it that sends replies, plus 1
  uint8_t entered[2];  // FlowPorts
  uint8_t left;
  uint64_t time_ns;
  FlowKey keys[2];
  FlowState state;
};
static_assert(sizeof(FlowReport) == layout::kFlowReportBytes);

// The place of an engine among those of other lanes.
struct FlowLanes {
  Detours* detours = nullptr;
  uint32_t lane = 0;
  LaneSpread spread;
};

// What a lane hands to another one of a flow; its columns follow.
struct MovedFlow {
  FlowKey keys[2];
  uint8_t sides[2];
  uint8_t has_second;
  uint8_t reserved[5];
  FlowState state;
  TcpShifts shifts;
};

class FlowEngine {
 public:
  explicit FlowEngine(FlowEngineConfig config);

  // What becomes of a frame before any function sees it.
  enum class Fate : uint8_t { kPass, kHeld, kDropped };
  struct Arrival {
    Fate fate;
    uint16_t reason;  // layout::kEngineDropReasons*, if dropped
  };

  // Tracks records[0 … count); held[i] describes the same frame in case that it has to wait.
  void Track(std::span<Record> records, std::span<const HeldFragment> held, const uint8_t* umem,
             uint32_t frames_address, uint64_t now_ns, std::span<Arrival> arrivals);

  // Time passes with every frame, also with those of other lanes: captures may go back in time, flows do not.
  void PassTime(uint64_t time_ns) { time_ns_ = std::max(time_ns_, time_ns); }

  // Fragments that waited and may come in again now, or whose time is over.
  uint32_t Released(std::span<HeldFragment> out) { return fragments_->Released(out); }
  uint32_t Abandoned(uint64_t now_ns, std::span<HeldFragment> out) { return fragments_->Expired(now_ns, out); }

  // Ends flows whose time is over: a bounded number of them, or all.
  void Expire(uint64_t now_ns, bool all);
  // The earliest time at which something happens by itself, or UINT64_MAX.
  uint64_t NextDeadline() const;
  // Ends all flows with kFlowEndShutdown.
  void EndAll(uint64_t now_ns);

  // What functions ask for. False if the flow does not live or the request cannot be met.
  // `ip_version` is that of the replies, which may be the other one; 0: the flow's own.
  bool Bind(uint32_t flow, const Endpoints& reply, uint8_t ip_version = 0);
  // Sequence numbers of that direction have `shift` added on the way through the chain.
  bool Shift(uint32_t flow, uint8_t direction, uint32_t shift);
  // A flow with these first frames is related to `flow`, if it begins within that time.
  bool Expect(uint32_t flow, uint8_t ip_proto, const Endpoints& first, uint32_t within_ms, uint64_t now_ns);
  bool SetTimeout(uint32_t flow, uint32_t timeout_ms);
  bool SetLabels(uint32_t flow, uint32_t labels, bool set);
  bool Close(uint32_t flow, uint64_t now_ns);

  // From now on flows that change are noted there; null: nowhere.
  void NoteTouched(TouchedFlows* touched) { touched_ = touched; }
  const TouchedFlows* touched() const { return touched_; }

  // Frames of second tuples find their lane from now on, whatever their addresses say.
  void ShareLanes(const FlowLanes& lanes);
  void SpreadOver(const LaneSpread& spread) { lanes_.spread = spread; }
  // Fragments that wait here for a first one that another lane has got are released.
  bool ReleaseAstray();
  bool holds_fragments() const { return fragments_->holds(); }
  // Whether some of them are still to be looked at.
  bool looks_for_astray() const { return fragments_->looks(); }
  // After the spread has changed, for a flow that stays: its second key has to come here.
  void KeepDetour(uint32_t flow);

  // The flow goes to another lane: written to `to`, which has room for moved_bytes(), and gone without a word.
  void TakeOut(uint32_t flow, uint8_t* to);
  // It comes from another lane; lost if there is no room.
  void PutIn(const uint8_t* from, uint64_t now_ns);
  uint32_t moved_bytes() const;

  // The flow that a frame would belong to if it came now, 0 for none; fragments and ICMP errors are not looked into.
  uint32_t FlowOf(const Record& record, const uint8_t* frame) const;

  bool has_streams() const { return streams_ != nullptr; }
  const FlowTable& table() const { return *table_; }
  const FlowRecovery& recovery() const { return recovery_; }
  // Counted from 1 in the order in which flows began in this process.
  uint32_t SerialOf(uint32_t flow) const { return serials_[flow]; }
  bool IsLive(uint32_t flow) const { return table_->IsLive(flow); }
  Side SideOf(uint32_t flow) const { return canary_ ? canary_->SideOf(flow) : Side::kStays; }

  // Between two batches: another generation's tracker, zones, columns and subscribers, which it goes on to own.
  // Events that were not taken yet go to the subscriber of the same name.
  void Adopt(FlowProgram& program);

  // A queue for the events of `mask`.
  static FlowSubscriber MakeSubscriber(std::string name, uint32_t mask, Side side = Side::kAny);
  // Adds one; returns its number.
  uint32_t Subscribe(uint32_t mask);
  void Raise(const FlowEvent& event);
  // Takes up to events.size() of a subscriber's events, and how many found no room since the last call.
  uint32_t TakeEvents(uint32_t subscriber, std::span<FlowEvent> events, uint32_t* missed);
  bool HasEvents(uint32_t subscriber) const;

  // Stream chunks that this batch made available, in order.
  std::span<const Chunk> chunks() const { return {chunks_.data(), chunk_count_}; }

  // From now on, each flow that ends is reported there, too; serials go on from those that it has seen.
  void ReportTo(ReportRing* ring);
  uint32_t serial() const { return serial_; }
  // The flow's first frame goes out there.
  void NoteLeft(uint32_t flow, uint32_t port);

  // A FlowReport of a flow that lives.
  void Describe(uint32_t flow, uint64_t now_ns, uint8_t* to) const;

  // Bytes of one report with its exported columns.
  uint32_t report_bytes() const { return report_bytes_; }
  const std::vector<uint8_t>& reports() const { return reports_; }
  void ClearReports() { reports_.clear(); }

  struct Counters {
    uint64_t started = 0;
    uint64_t ended = 0;
    uint64_t evicted = 0;
    uint64_t refused = 0;
    uint64_t invalid = 0;
    uint64_t icmp_errors = 0;
    uint64_t fragments_held = 0;
    uint64_t events_missed = 0;
    uint64_t moved = 0;       // to another lane
    uint64_t moved_lost = 0;  // from another lane: there was no room
  };
  const Counters& counters() const { return counters_; }

 private:
  // A frame on its way through Track.
  struct Candidate {
    uint16_t record;
    uint8_t side;
    uint8_t quoted_side;
    bool quotes;  // an ICMP error; `quote` is the packet that it is about
  };

  // After the change.
  void Touch(uint32_t flow) {
    if (touched_ != nullptr) touched_->Note(flow);
  }
  void AttachTimers();
  bool IsElsewhere(const FlowKey& key) const;
  void RemoveDetour(uint32_t flow);
  void MeasureReports();
  void Prefetch(uint32_t position) const;
  void Disown(uint32_t flow);
  bool ReadKey(uint32_t index, Record& record, const uint8_t* bytes, const HeldFragment& held, uint64_t now_ns,
               Arrival* arrival);
  void TrackOne(uint32_t position, Record& record, const uint8_t* bytes, uint64_t now_ns, Arrival* arrival);
  FlowHit Settle(const FlowKey& key, uint8_t side, FlowHit hit, uint64_t now_ns);
  FlowHit Begin(const FlowKey& key, uint8_t side, uint64_t now_ns);
  void Account(uint32_t flow, uint8_t direction, const Record& record, uint64_t now_ns);
  void Schedule(uint32_t flow, uint64_t deadline_ns);
  void RelateError(uint32_t position, Record& record, uint64_t now_ns);
  void End(uint32_t flow, uint8_t reason, uint64_t now_ns);
  void Report(uint32_t flow, uint64_t now_ns);
  void WriteReport(uint32_t flow, uint64_t now_ns, uint8_t* to) const;
  bool Takes(const FlowSubscriber& subscriber, const FlowEvent& event) const;
  void Tell(uint32_t flow, uint8_t direction, uint32_t events, uint64_t now_ns);
  void PushStream(const Record& record, uint16_t index, const uint8_t* bytes, const uint8_t* umem, uint64_t now_ns);

  FlowEngineConfig config_;
  FlowRecovery recovery_{};
  std::unique_ptr<FlowTable> table_;
  std::unique_ptr<FlowTimers> timers_;
  std::unique_ptr<FragmentTable> fragments_;
  ExpectedFlows expected_;
  Counters counters_;

  std::array<Candidate, abi::kBatchCapacity> candidates_;
  std::array<FlowKey, abi::kBatchCapacity> keys_;
  std::array<uint8_t, abi::kBatchCapacity> sides_;
  std::array<FlowHit, abi::kBatchCapacity> hits_;
  std::array<FlowKey, abi::kBatchCapacity> quotes_;
  std::span<Record> tracked_;  // while a batch is tracked: the records before the one that is looked at
  uint64_t time_ns_ = 0;       // never goes back
  uint32_t count_ = 0;
  std::unique_ptr<uint32_t[]> serials_;  // by flow: counted from 1 as flows begin; numbers of flows come again
  uint32_t serial_ = 0;
  bool table_changed_ = false;
  TouchedFlows* touched_ = nullptr;
  FlowLanes lanes_;
  uint64_t notes_seen_ = 0;  // of detours

  uint32_t wanted_ = 0;  // the union of all masks
  std::vector<FlowSubscriber> own_subscribers_;
  std::vector<FlowSubscriber>* subscribers_ = &own_subscribers_;  // or those of the generation that runs
  std::shared_ptr<Canary> canary_;
  std::unique_ptr<StreamTable> streams_;
  std::array<Chunk, abi::kChunksCapacity> chunks_;
  uint32_t chunk_count_ = 0;
  ReportRing* report_ring_ = nullptr;
  std::vector<uint8_t> reports_;
  uint32_t report_bytes_;
};

}  // namespace sluice
