// One lane: its ports, its frames, and the phases of a turn (runtime/dataplane/breathe.ts).
//
//   Inhale ──▶ hop ──Advance──▶ hop ──Advance──▶ … ──▶ Exhale
//      │        │ trap
//      │        └──Fault──▶ …
//      └ receive, parse, classify
//
// Used by one thread at a time: that of the generation which has the lane. Another generation takes it over between two
// turns (Install), or from a thread that was ended within a function (TakeOver). Nothing between Inhale and Exhale
// allocates, throws or calls the kernel.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <ctime>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "abi.h"
#include "call_histogram.h"
#include "flow_engine.h"
#include "frame_pool.h"
#include "handover.h"
#include "host_table.h"
#include "kernel_inlet.h"
#include "layout.h"
#include "mirror.h"
#include "neighbour_message.h"
#include "outbox.h"
#include "port.h"
#include "program.h"
#include "record.h"
#include "report_ring.h"
#include "router.h"
#include "segment.h"
#include "test_frame.h"
#include "waiting_frames.h"

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
  std::shared_ptr<Segment> counters;
  uint32_t slot_bytes;
  uint32_t frames_address;
  uint32_t batch_limit;
  bool virtual_clock;
  bool keep_outcomes;
  bool keep_bad_results = false;
  // Above 1: every lane receives all frames, one after the other on one thread, and keeps its own.
  uint32_t lane_count = 1;
  uint32_t lane_index = 0;
  std::shared_ptr<Handover> handover;  // of several lanes; else each receives what its queues bring, and hands over
  uint64_t* lane_counters;
  uint64_t* lane_use;                   // layout::kLaneUseCounters*, then layout::kCallSizeBuckets
  std::unique_ptr<ReportRing> reports;  // null: nothing is reported
  std::unique_ptr<FlowEngine> flows;    // null: the chain keeps no flows
};

class CallWriter;

class Lane {
 public:
  Lane(LaneConfig config, std::shared_ptr<Program> program);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // The lane has it at once, or if it is inactive from a later program on that has a port of its number; then any
  // thread may add it, one at a time.
  uint32_t AddPort(std::unique_ptr<Port> port, bool inactive = false);
  // Closes the ports from `first` on, none of which the lane's program has; on any thread.
  void ClosePorts(uint32_t first);
  // Before the lane runs: its routed ports' frames leave by these routes.
  void Follow(std::shared_ptr<RouteMirror> routes);
  // Before the lane runs: what functions and routes leave to the kernel gets there, for ports of devices.
  void SetInlet(std::unique_ptr<KernelInlet> inlet) { inlet_ = std::move(inlet); }
  LaneMemory memory() { return {config_.umem->data(), pool_}; }
  const Segment& umem() const { return *config_.umem; }
  const LaneConfig& config() const { return config_; }
  Hop& hop(uint32_t index) { return program_->hops[index]; }
  uint32_t functions() const { return static_cast<uint32_t>(program_->functions.size()); }
  const Function& function(uint32_t index) const { return program_->functions[index]; }
  FlowEngine* flows() { return config_.flows.get(); }
  uint32_t hops() const { return static_cast<uint32_t>(program_->hops.size()); }
  uint32_t ports() const { return active_; }
  // The first port whose device is gone, or -1.
  int32_t GonePort() const;

  // Between two turns: from now on the lane executes `program`.
  void Install(std::shared_ptr<Program> program);
  // The same after the thread of the generation before ended within a function. The frames that this had are a fault
  // of its hop; those that wait for other hops go on if `program` has the same hops, and are faults otherwise. Returns
  // the first hop with work, or -1: what is left of the turn is the caller's.
  int32_t TakeOver(std::shared_ptr<Program> program);
  // For watchers on other threads: turns so far, whether it sleeps in Wait, and the hop whose function is being called
  // or was last, -1 if none is.
  struct Pulse {
    uint64_t turns;
    bool waiting;
    int32_t hop;
    uint64_t cpu_ns;  // what the thread that has the lane has used of a processor; 0 if it has ended
  };
  Pulse pulse() const;

  // The phases. Each returns the first hop that has frames, or -1.
  int32_t Inhale();
  int32_t Advance(uint32_t hop);
  int32_t Fault(uint32_t hop);
  // layout::kExhale* bits.
  uint32_t Exhale();

  // A call that is to be written down, while its batch or events are still those that the function was given.
  struct Call {
    uint32_t kind;  // layout::kCallKinds*
    uint32_t function;
    uint32_t hop;      // of nf_process
    bool with_frames;  // the frames' bytes, too
  };
  std::vector<uint8_t> CopyCall(const Call& call) const;
  // Adds a call to its function's recorder, if it has one. nf_process and nf_events come by themselves.
  void RecordCall(uint32_t kind, uint32_t function, uint32_t hop);
  // The first result that did not hold since the last one was taken; of one hop and reason only one is ever noted.
  struct BadResult {
    bool is_held = false;
    uint32_t hop;
    uint32_t position;  // in the batch
    uint32_t reason;    // layout::kEngineDropReasons*
    Result result;
    size_t bytes;  // of `call`, which has its size from the start
    std::vector<uint8_t> call;
  };
  BadResult& bad_result() { return bad_result_; }

  // Batched events: fills the function's page; false if there are none. Its outbox is empty then.
  bool FillEvents(uint32_t function);
  // Carries out what the function put into its outbox outside of a batch.
  void DrainEvents(uint32_t function);

  // Replay's end: the clock moves to the next thing that happens by itself, and it happens; false if there is nothing.
  bool RunOut();
  // All flows end, all that waits is dropped.
  void EndFlows();

  // Sleeps until a port has frames, the wake descriptor is written, or the time is over.
  void Wait(int timeout_ms);
  int wake_descriptor() const { return wake_; }

  // Lines that functions logged: u32 function, u32 level, u32 bytes, text.
  const std::vector<uint8_t>& log() const { return log_; }
  void ClearLog() { log_.clear(); }

  const std::shared_ptr<std::vector<Outcome>>& outcomes() const { return outcomes_; }
  uint32_t TakeOutcomes();

  uint64_t NextTime();
  // Whether there is something that is to be done before it receives more: for lanes that all receive the same.
  bool IsBehind();
  // With the frames' clock: it is at least so late.
  void PassTime(uint64_t time_ns) { clock_ns_ = std::max(clock_ns_, time_ns); }
  uint64_t received() const { return received_; }
  // The frame of an outcome's record; valid as long as this.
  const Frame& frame(uint32_t record) const { return flights_[record].frame; }
  // After Inhale: the record of the frame with that number, or -1; it is valid until the next one.
  int32_t RecordOf(uint64_t number) const;

  // From any thread: from the next turn on, what comes and what becomes of it is copied there; null: nowhere. `place`
  // is below layout::kMirrors, and has one mirror at a time.
  void SetMirror(uint32_t place, std::shared_ptr<Mirror> mirror);
  // From any thread: frees the mirror that the lane has let go of, if it has; that would take too long on its own.
  void FreeMirror(uint32_t place);
  bool reaches_host(uint32_t port) const {
    return ports_[port]->reaches_host() || (inlet_ && ports_[port]->ifindex() > 0);
  }
  // What the port says that its link address is; from any thread.
  MacAddress link_address(uint32_t port) const;
  const FramePool& pool() const { return pool_; }
  // For other threads.
  TestFrame& test_frame() { return test_frame_; }

 private:
  using Queue = FrameQueue;
  // A received frame and its number among all that came in, also those of other lanes.
  struct Flight {
    Frame frame;
    uint64_t number;
    uint8_t entered;  // the port that received it, perhaps another lane's; the record has where it came in last
  };

  std::span<const std::unique_ptr<Port>> active() const { return {ports_.data(), active_}; }
  void ActivatePorts();
  void TakeReturned();
  uint32_t Receive();
  uint32_t ReceiveInTurn();
  uint32_t ReceiveInTime();
  void Admit(uint32_t port, const Frame& frame, uint64_t number) { Admit(port, frame, number, port); }
  void Admit(uint32_t port, const Frame& frame, uint64_t number, uint32_t entered);
  void AdmitNew(uint32_t port, std::span<const Frame> frames);
  void TakePending();
  void AdmitTestFrame();
  void KeepTestFrame(uint32_t port, Queue& queue);
  void LeaveToOthers(uint32_t first);
  // lane_handover.cc
  void FollowSpread();
  LaneSpread spread_now() const;
  LaneSpread spread_before() const;
  void TakeHanded();
  void DiscardHanded();
  void TakeFlow(const uint8_t* from);
  void HandOver(uint32_t handed, uint32_t fresh);
  bool GiveAway(uint32_t record_index);
  bool GiveFlow(uint32_t flow, uint32_t lane);
  bool Give(uint32_t record_index, uint32_t lane, uint32_t port, uint8_t kind);
  bool receives_all() const { return config_.lane_count > 1; }
  void MoveFlows();
  void Refuse(uint32_t record_index);
  // lane_turned.cc
  void ReleaseAstray();
  uint32_t GiveAstray(uint32_t pending);
  bool GiveFragment(uint32_t record_index);
  void PassTurned();
  bool PassOn(uint32_t record_index, uint32_t port);
  void TakeReleased();
  void TrackFlows();
  void Classify();
  const Path* FindPath(const Record& record) const;
  const uint8_t* BytesOf(const Record& record) const;

  int32_t Prepare();
  void SkipQuarantined(uint32_t hop);
  void FillChunks(const Function& function, const Queue& queue);
  void Drain(uint32_t function, const Queue* queue);
  bool Obey(const Function& function, const Message& message, const Queue* queue);
  bool Emit(uint32_t port, std::span<const uint8_t> frame);
  bool Log(const Function& function, const Message& message);
  bool AllNext(uint32_t count) const;
  void Carry(uint32_t hop_index, uint32_t record_index, const Result& result);
  bool Accept(const Hop& hop, uint32_t record_index, const Result& result, uint32_t* why);
  bool Resize(uint32_t record_index, const Result& result);
  void Host(uint32_t record_index, int32_t hop, const Result& result);
  Queue& QueueOf(Target target);
  void Send(uint32_t record_index, Target target, int32_t hop);
  void SendAll(const Queue& queue, Target target, int32_t hop);
  void Drop(uint32_t record_index, int32_t hop, uint32_t reason, uint32_t detail);
  void DropByEngine(uint32_t record_index, int32_t hop, uint32_t reason, uint32_t kind);
  void Free(uint32_t record_index);
  void Note(uint32_t record_index, int32_t hop, uint32_t kind, uint32_t to, uint32_t reason, uint32_t detail,
            bool engine);
  void NoteCall(const Hop& hop, uint32_t frames);
  void ReportDrop(uint32_t record_index, int32_t hop, uint32_t kind, uint32_t reason, uint32_t detail, bool engine);
  void ReportEvent(const Function& function, uint32_t flow, uint32_t event, uint32_t value);
  void PublishUse();
  void BeginUse();
  uint64_t& Use(uint32_t counter) { return config_.lane_use[counter]; }
  void BeginMirrors();
  void ExchangeMirrors();
  void MirrorFrames(uint32_t pending);
  void MirrorOutcome(uint32_t record_index, int32_t hop, uint32_t kind, uint32_t to, uint32_t reason, uint32_t detail,
                     bool engine);
  void Transmit();
  void TransmitOn(uint32_t port, Queue& queue);
  // lane_router.cc
  struct WantedNextHop {
    Neighbour neighbour;
    int32_t only_port;
    bool changed;  // a function has changed the frame
    bool operator==(const WantedNextHop& other) const {
      const Neighbour &a = neighbour, &b = other.neighbour;
      return a.ifindex == b.ifindex && a.version == b.version && a.address == b.address;
    }
  };
  struct Original {
    uint16_t record;
    uint16_t length;
    std::array<uint8_t, kQuoteBytes6> packet;
  };
  void RefreshRoutes();
  void DescribePorts();
  void FindSharedOwn();
  void TellOwnAddresses();
  void NoteOriginals();
  void RouteFrames();
  void LeaveByRoute();
  void RouteQueue(const Queue& queue, int32_t only_port);
  void RouteFrame(uint32_t record_index, int32_t only_port);
  void DropUnrouted(uint32_t record_index, const Router::Decision& decision);
  void SendError(uint32_t record_index, IcmpError error, uint32_t value);
  std::span<const uint8_t> PacketFor(uint32_t record_index) const;
  bool SendFragments(uint32_t record_index, const Router::Decision& decision);
  void WaitForNeighbour(uint32_t record_index, const Router::Decision& decision, int32_t only_port);
  void RetryWaiting();
  void GiveWaitingUp();
  int32_t TakeRecord(const Frame& frame, uint64_t number, uint32_t port);
  bool ToKernel(uint32_t record_index);
  static uint32_t OutcomePort(int32_t port) { return port < 0 ? layout::kPortRoute : static_cast<uint32_t>(port); }
  // lane_neighbours.cc
  struct WantedHost {
    HostKey key;
    std::array<uint8_t, 8> tags;  // as they stand in the frame
    bool operator==(const WantedHost& other) const { return key == other.key; }
  };
  void BeginAnswering();
  bool MeetNeighbour(uint32_t record_index);
  bool HearNeighbour(uint32_t record_index, const NeighbourMessage& message);
  bool IsAskedFor(uint32_t record_index, const NeighbourMessage& message);
  bool Answers(uint32_t port, const NeighbourMessage& message) const;
  void Answer(uint32_t record_index, const NeighbourMessage& request, bool is_own);
  void Consume(uint32_t record_index, uint32_t reason);
  void LearnFrom(uint32_t record_index, const NeighbourMessage& message);
  void LearnSource(uint32_t record_index);
  void Learn(uint32_t record_index, const AddressBytes& address, uint8_t version, const MacAddress& mac,
             HostTable::Hearsay hearsay);
  void Overhear(uint32_t record_index);
  void AddressFrames();
  bool NeedsHost(uint32_t record_index, uint32_t port) const;
  void AddressQueue(uint32_t port);
  void AddressFrame(uint32_t record_index, uint32_t port);
  void SendTo(uint32_t record_index, uint32_t port, const MacAddress& mac);
  bool AskFor(const WantedHost& wanted);
  void WaitForHost(uint32_t record_index, const WantedHost& wanted);
  void RetryHosts();

  void AbandonFragments(uint64_t now_ns);
  void DropHeld(const HeldFragment& held);
  void MoveClock();
  void Publish();
  uint64_t* FlowCounters() const;
  FlowEngine::Counters ReadFlowCounters() const;

  uint32_t BufferedBytes(const uint8_t* chunk) const;
  size_t CallBytes(const Call& call) const;
  void WriteCall(const Call& call, uint8_t* to) const;
  void WriteFrames(const Call& call, CallWriter* writer) const;
  void WriteRow(const Function& function, uint32_t flow, CallWriter* writer) const;
  void WriteChunks(const Function& function, CallWriter* writer) const;
  void WriteEvents(const Function& function, CallWriter* writer) const;
  void NoteBadResult(uint32_t hop, uint32_t record_index, const Result& result, uint32_t why);
  bool TickIsDue();
  bool EventsAreDue() const;
  void Count(uint32_t counter, uint64_t frames = 1) { config_.lane_counters[counter] += frames; }

  LaneConfig config_;
  std::shared_ptr<Program> program_;
  FramePool pool_;
  // In the program's shared pages.
  Batch* batch_ = nullptr;
  Result* results_ = nullptr;
  Record* records_ = nullptr;
  const uint32_t slot_mask_;
  const int wake_;

  // Room for all that there can be: those that the program has come first, and are the lane's; behind them other
  // threads open and close what later programs will have, or earlier ones had.
  std::vector<std::unique_ptr<Port>> ports_;
  uint32_t active_ = 0;
  std::mutex returning_;
  std::vector<uint32_t> returned_;  // slots of closed ports
  std::atomic<bool> has_returned_ = false;
  std::vector<Queue> port_queues_;
  std::vector<uint64_t> refused_;  // by port: frames that it did not take
  // What an earlier process had counted in the same pages: it goes on from there.
  std::vector<PortCounters> ports_before_;
  FlowEngine::Counters flows_before_{};
  // By record: those of the batch first, then emitted frames and what was given up.
  std::array<Flight, layout::kRecordsCapacity> flights_;
  std::array<Frame, layout::kRecordsCapacity> staging_;
  std::array<HeldFragment, abi::kBatchCapacity> held_;
  std::array<FlowEngine::Arrival, abi::kBatchCapacity> fates_;
  std::vector<HeldFragment> pending_;  // fragments that waited for their first one, to be taken up by the next turn
  uint32_t extra_ = 0;                 // records in use behind those of the batch
  std::array<uint16_t, abi::kBatchCapacity> arrivals_;
  uint32_t arrived_ = 0;
  bool left_ = false;        // frames of this turn to other lanes
  bool are_astray_ = false;  // of the pending ones some are another lane's
  bool has_turned_ = false;  // a function has chosen a port in this turn
  uint32_t handed_on_ = 0;   // of the batch: that another lane has received, and counted
  Spread spread_{1, 1, 0};   // as it was when the turn began
  OwnAddresses shared_own_;  // of the ports that the spread names
  uint32_t moved_ = 0;       // flows up to this number are where they belong
  static constexpr size_t kMovedFlowBytes = 1 << 16;
  std::vector<uint8_t> moving_flow_;               // reserved once
  std::array<bool, abi::kBatchCapacity> settled_;  // of the batch: the frame stays whatever its addresses say
  uint32_t first_port_ = 0;                        // rotates, so that no port starves the others
  uint32_t next_hop_ = 0;
  uint64_t received_ = 0;
  uint64_t number_ = 0;  // of the last frame
  uint64_t clock_ns_ = 0;
  uint64_t next_tick_ns_ = 0;
  uint64_t ticks_ = 0;
  const CallHistogram histogram_;
  uint64_t cpu_published_ns_ = 0;
  uint64_t cpu_used_ns_ = 0;                                 // of its thread, when it was published
  std::array<uint64_t, layout::kMirrors> mirrors_missed_{};  // of the mirrors of now, when it was published
  uint64_t drops_skipped_before_ = 0;
  uint64_t events_skipped_before_ = 0;
  std::atomic<int32_t> called_ = -1;
  std::atomic<bool> waiting_ = false;
  std::atomic<clockid_t> cpu_clock_;
  // More than the fragments that one batch can release.
  static constexpr uint32_t kPendingCapacity = 4096;
  static constexpr size_t kLogBytes = 1 << 16;
  static constexpr size_t kLogHeadBytes = 12;
  std::vector<uint8_t> log_;  // reserved once
  static constexpr size_t kBadCallBytes = 1 << 20;
  BadResult bad_result_;
  TestFrame test_frame_;
  std::shared_ptr<std::vector<Outcome>> outcomes_;
  uint32_t outcome_count_ = 0;
  std::unique_ptr<Router> router_;  // null: frames leave as functions leave them
  bool routes_ = false;             // a port of the program is routed
  std::vector<Router::RoutedPort> routed_ports_;
  Queue route_queue_;
  WaitingFrames<WantedNextHop> waiting_frames_;
  std::vector<Original> originals_;  // of frames that may be owed an error, as they came
  uint32_t original_count_ = 0;
  bool ports_changed_ = true;
  std::vector<AddressBytes> own_addresses_;  // as ports were told, so many of them
  uint32_t told_ports_ = 0;
  std::array<bool, layout::kRecordsCapacity> changed_{};    // a function has changed the frame
  std::array<bool, layout::kRecordsCapacity> is_routed_{};  // mirrors have seen it as it was before
  bool answers_ = false;                                    // a port answers for addresses of others
  std::vector<std::atomic<uint64_t>> port_macs_;            // by port
  std::vector<uint64_t> answering_macs_;
  std::vector<bool> learns_;          // by port: frames that come to another one may have to leave here
  std::shared_ptr<HostTable> hosts_;  // null until a port answers; then it stays, whatever the program
  WaitingFrames<WantedHost> waiting_for_hosts_;
  std::array<bool, layout::kRecordsCapacity> is_turned_{};  // a function chose the port where it leaves
  ErrorLimit error_limit_;
  std::unique_ptr<KernelInlet> inlet_;
  using Mirrors = std::array<std::shared_ptr<Mirror>, layout::kMirrors>;
  Mirrors mirrors_;        // the lane's thread's
  bool mirrored_ = false;  // it has any
  bool rewrites_ = false;  // a function may change frames that are mirrored
  std::mutex mirror_lock_;
  Mirrors next_mirrors_;
  std::atomic<uint32_t> mirror_changes_ = 0;  // bits by place
};

}  // namespace sluice
