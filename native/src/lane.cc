#include "lane.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "lane_choice.h"
#include "parser.h"
#include "tick_clock.h"

namespace sluice {
namespace {

enum EngineReason : uint32_t {
  kNoPath = layout::kEngineDropReasonsNoPath,
  kOversize = layout::kEngineDropReasonsOversize,
  kPortFull = layout::kEngineDropReasonsPortFull,
  kPortGone = layout::kEngineDropReasonsPortGone,
  kHostUnavailable = layout::kEngineDropReasonsHostUnavailable,
  kFault = layout::kEngineDropReasonsFault,
  kBadVerdict = layout::kEngineDropReasonsBadVerdict,
  kBadTarget = layout::kEngineDropReasonsBadTarget,
  kBadReason = layout::kEngineDropReasonsBadReason,
  kBadLength = layout::kEngineDropReasonsBadLength,
  kNotWritable = layout::kEngineDropReasonsNotWritable,
  kLaneFull = layout::kEngineDropReasonsLaneFull,
};

// 255 is "no port" in a record.
constexpr uint32_t kPortsCapacity = 255;
// More than the fragments that one batch can release.
constexpr uint32_t kPendingCapacity = 4096;
// With frames that wait for a host, or for their first fragment.
constexpr int kLookAgainMs = 5;

PortCounters ReadPortCounters(const uint64_t* from) {
  return {.receive_frames = from[layout::kPortCountersReceiveFrames],
          .receive_bytes = from[layout::kPortCountersReceiveBytes],
          .transmit_frames = from[layout::kPortCountersTransmitFrames],
          .transmit_bytes = from[layout::kPortCountersTransmitBytes],
          .receive_dropped = from[layout::kPortCountersReceiveDropped],
          .transmit_dropped = from[layout::kPortCountersTransmitDropped]};
}

uint64_t MachineTime() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

Lane::Lane(LaneConfig config, std::shared_ptr<Program> program)
    : config_(std::move(config)),
      pool_(static_cast<uint32_t>(config_.umem->bytes() / config_.slot_bytes), config_.slot_bytes),
      slot_mask_(config_.slot_bytes - 1),
      wake_(config_.handover ? dup(config_.handover->descriptor(config_.lane_index))
                             : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      histogram_(TickHz()) {
  outcomes_ = std::make_shared<std::vector<Outcome>>(config_.keep_outcomes ? 2 * layout::kRecordsCapacity : 0);
  pending_.reserve(kPendingCapacity);
  ports_.reserve(kPortsCapacity);
  ports_before_.resize(kPortsCapacity);
  port_queues_.resize(kPortsCapacity);
  routed_ports_.reserve(kPortsCapacity);
  refused_.resize(kPortsCapacity);
  port_macs_ = std::vector<std::atomic<uint64_t>>(kPortsCapacity);
  answering_macs_.reserve(kPortsCapacity);
  learns_.resize(kPortsCapacity);
  log_.reserve(kLogBytes);
  if (config_.keep_bad_results) bad_result_.call.resize(kBadCallBytes);
  if (config_.reports && config_.flows) config_.flows->ReportTo(config_.reports.get());
  drops_skipped_before_ = Use(layout::kLaneUseCountersDropsSkipped);
  events_skipped_before_ = Use(layout::kLaneUseCountersEventsSkipped);
  if (config_.handover && config_.flows) {
    spread_ = config_.handover->spread();
    config_.handover->NoteSeen(config_.lane_index, spread_.epoch);
    DiscardHanded();
    moving_flow_.reserve(kMovedFlowBytes);
    config_.flows->ShareLanes({&config_.handover->detours(), config_.lane_index, spread_now()});
  }
  Install(std::move(program));
  if (config_.flows) flows_before_ = ReadFlowCounters();
}

Lane::~Lane() {
  if (router_) router_->mirror().Forget(wake_);
  ports_.clear();
  close(wake_);
}

uint32_t Lane::AddPort(std::unique_ptr<Port> port, bool inactive) {
  const auto index = static_cast<uint32_t>(ports_.size());
  ports_.push_back(std::move(port));
  if (!inactive) ActivatePorts();
  return index;
}

void Lane::ActivatePorts() {
  const auto wanted = std::min(program_->port_counters.size(), ports_.size());
  while (active_ > wanted) ports_[--active_]->Deactivate();
  for (; active_ < wanted; ++active_) {
    ports_[active_]->Activate();
    ports_before_[active_] = ReadPortCounters(program_->port_counters[active_]);
    refused_[active_] = 0;
  }
  BeginAnswering();
}

void Lane::ClosePorts(uint32_t first) {
  while (ports_.size() > first) {
    const std::vector<uint32_t> slots = ports_.back()->Abandon();
    ports_.pop_back();
    const std::lock_guard lock(returning_);
    returned_.insert(returned_.end(), slots.begin(), slots.end());
    has_returned_.store(true, std::memory_order_release);
  }
}

void Lane::TakeReturned() {
  const std::lock_guard lock(returning_);
  for (const uint32_t slot : returned_) pool_.Release(slot);
  returned_.clear();
  has_returned_.store(false, std::memory_order_relaxed);
}

// ---- generations ----

void Lane::Install(std::shared_ptr<Program> program) {
  uint8_t* shared = program->shared->data();
  batch_ = reinterpret_cast<Batch*>(shared + layout::kSharedBatchOffset);
  results_ = reinterpret_cast<Result*>(shared + layout::kSharedResultsOffset);
  records_ = reinterpret_cast<Record*>(shared + layout::kSharedRecordsOffset);
  if (config_.flows) config_.flows->Adopt(program->flows);
  // Another generation may have had the state since.
  for (const Function& function : program->functions) {
    if (function.recorder) function.recorder->Reset();
  }
  clockid_t cpu_clock;
  if (pthread_getcpuclockid(pthread_self(), &cpu_clock) == 0) cpu_clock_.store(cpu_clock, std::memory_order_relaxed);
  program_ = std::move(program);
  BeginUse();
  ActivatePorts();
  ports_changed_ = true;
  if (router_) RefreshRoutes();
}

int32_t Lane::TakeOver(std::shared_ptr<Program> program) {
  const int32_t hop = called_.load(std::memory_order_relaxed);
  if (hop < 0) {
    Install(std::move(program));
    return -1;
  }
  const std::shared_ptr<Program> before = program_;
  const Record* records = records_;
  const bool alike = program->hops.size() == before->hops.size();
  if (!alike) {
    for (uint32_t index = 0; index < before->queues.size(); ++index) {
      Queue& queue = before->queues[index];
      for (uint32_t i = 0; i < queue.count; ++i) {
        DropByEngine(queue.records[i], static_cast<int32_t>(index), kFault, layout::kOutcomeKindsFault);
      }
      queue.count = 0;
    }
  }
  Install(std::move(program));
  std::copy_n(records, layout::kRecordsCapacity, records_);
  called_.store(-1, std::memory_order_relaxed);
  if (!alike) return -1;
  for (uint32_t index = 0; index < before->queues.size(); ++index) {
    program_->queues[index] = before->queues[index];
    before->queues[index].count = 0;
  }
  return Fault(static_cast<uint32_t>(hop));
}

Lane::Pulse Lane::pulse() const {
  const std::atomic_ref turns(config_.lane_counters[layout::kLaneCountersTurns]);
  timespec used{};
  clock_gettime(cpu_clock_.load(std::memory_order_relaxed), &used);
  return {turns.load(std::memory_order_relaxed), waiting_.load(std::memory_order_relaxed),
          called_.load(std::memory_order_relaxed),
          static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec)};
}

int32_t Lane::GonePort() const {
  for (uint32_t port = 0; port < active_; ++port) {
    if (ports_[port]->gone()) return static_cast<int32_t>(port);
  }
  return -1;
}

// ---- inhale ----

int32_t Lane::Inhale() {
  Count(layout::kLaneCountersTurns);
  outcome_count_ = 0;
  arrived_ = 0;
  left_ = false;
  extra_ = 0;
  next_hop_ = 0;
  if (!config_.virtual_clock) clock_ns_ = std::max(clock_ns_, MachineTime());
  if (has_returned_.load(std::memory_order_acquire)) TakeReturned();
  if (config_.handover) FollowSpread();
  if (router_) RefreshRoutes();
  BeginMirrors();
  if (spread_.now > 1) ReleaseAstray();
  TakePending();
  uint32_t pending = arrived_;
  if (test_frame_.waiting()) AdmitTestFrame();
  const uint32_t handed = arrived_;
  handed_on_ = 0;
  has_turned_ = false;
  if (config_.handover) TakeHanded();
  const uint32_t fresh = arrived_;
  Receive();
  if (arrived_ == 0) return -1;
  ParseBatch(config_.umem->data(), config_.frames_address, records_, arrivals_.data(), arrived_);
  const uint32_t astray = are_astray_ ? GiveAstray(pending) : 0;
  pending -= astray;
  if (receives_all()) {
    LeaveToOthers(fresh - astray);
  } else if (config_.handover) {
    HandOver(handed - astray, fresh - astray);
  }
  left_ |= astray > 0;
  const uint32_t received = arrived_ - pending - handed_on_;
  received_ += received;
  if (arrived_ > 0) ++Use(layout::kLaneUseCountersCount + CallHistogram::SizeBucket(arrived_));
  Count(layout::kLaneCountersReceived, received);
  if (arrived_ == 0) return -1;
  TrackFlows();
  if (mirrored_) MirrorFrames(pending);
  if (routes_) NoteOriginals();
  Classify();
  return Prepare();
}

// Fragments that waited come before new frames: they are older.
void Lane::TakePending() {
  const auto count = std::min<uint32_t>(static_cast<uint32_t>(pending_.size()), config_.batch_limit);
  for (uint32_t i = 0; i < count; ++i) {
    Admit(pending_[i].port, pending_[i].frame, pending_[i].number);
  }
  pending_.erase(pending_.begin(), pending_.begin() + count);
}

void Lane::AdmitTestFrame() {
  uint32_t slot;
  if (arrived_ == config_.batch_limit || pool_.Take({&slot, 1}, SlotOwner::kLane) == 0) return;
  uint32_t port;
  std::span<const uint8_t> bytes;
  if (!test_frame_.Begin(&port, &bytes)) return pool_.Release(slot);
  const uint32_t offset = slot * config_.slot_bytes + kHeadroomBytes;
  const auto length = static_cast<uint32_t>(bytes.size());
  std::memcpy(config_.umem->data() + offset, bytes.data(), length);
  Admit(port, {offset, length, length, abi::kLinkEthernet, false, clock_ns_}, TestFrame::kNumber);
}

// Where it would leave it is kept, and counted as consumed.
void Lane::KeepTestFrame(uint32_t port, Queue& queue) {
  const auto end = queue.records.begin() + queue.count;
  const auto found = std::find_if(queue.records.begin(), end,
                                  [&](uint16_t record) { return flights_[record].number == TestFrame::kNumber; });
  if (found == end) return;
  const Frame& frame = flights_[*found].frame;
  test_frame_.End({layout::kOutcomeKindsForward, static_cast<uint8_t>(port), -1, 0, false, 0},
                  {config_.umem->data() + frame.offset, frame.length});
  Count(layout::kLaneCountersConsumed);
  Free(*found);
  std::copy(found + 1, end, found);
  --queue.count;
}

uint32_t Lane::Receive() { return config_.virtual_clock ? ReceiveInTime() : ReceiveInTurn(); }

uint32_t Lane::ReceiveInTurn() {
  const uint32_t ports = active_;
  for (uint32_t i = 0; i < ports && arrived_ < config_.batch_limit; ++i) {
    const uint32_t port = (first_port_ + i) % ports;
    const uint32_t count = ports_[port]->Receive({staging_.data(), config_.batch_limit - arrived_});
    AdmitNew(port, {staging_.data(), count});
  }
  if (++first_port_ >= ports) first_port_ = 0;
  return arrived_;
}

// Files and tests: always the frame with the earliest time, the first port on a tie.
uint32_t Lane::ReceiveInTime() {
  while (arrived_ < config_.batch_limit) {
    uint32_t port = 0;
    uint64_t earliest = UINT64_MAX;
    for (uint32_t i = 0; i < active_; ++i) {
      const uint64_t time = ports_[i]->NextTime();
      if (time < earliest) earliest = time, port = i;
    }
    if (earliest == UINT64_MAX) break;
    const uint32_t count = ports_[port]->Receive({staging_.data(), 1});
    if (count == 0) break;
    AdmitNew(port, {staging_.data(), count});
  }
  return arrived_;
}

void Lane::AdmitNew(uint32_t port, std::span<const Frame> frames) {
  for (const Frame& frame : frames) Admit(port, frame, ++number_);
}

void Lane::Admit(uint32_t port, const Frame& frame, uint64_t number, uint32_t entered) {
  const uint32_t index = arrived_++;
  if (config_.virtual_clock) clock_ns_ = std::max(clock_ns_, frame.time_ns);
  flights_[index] = {frame, number, static_cast<uint8_t>(entered)};
  changed_[index] = is_routed_[index] = is_turned_[index] = false;
  Record& record = records_[index];
  record = {};
  record.frame = config_.frames_address + frame.offset;
  record.length = frame.length;
  record.wire_length = frame.wire_length;
  record.port = static_cast<uint8_t>(port);
  record.link = frame.link;
  arrivals_[index] = static_cast<uint16_t>(index);
}

// Frees the parsed frames from index `first` on that are other lanes', and closes the gaps; nothing counts them.
void Lane::LeaveToOthers(uint32_t first) {
  uint32_t kept = first;
  for (uint32_t index = first; index < arrived_; ++index) {
    const uint32_t lane = config_.handover->Agree(flights_[index].number, [&] {
      return LaneChoice(records_[index], BytesOf(records_[index]), config_.handover->detours(), spread_now()).lane();
    });
    if (lane != config_.lane_index) {
      if (config_.flows) config_.flows->PassTime(flights_[index].frame.time_ns);
      if (answers_) Overhear(index);
      Free(index);
      continue;
    }
    records_[kept] = records_[index];
    flights_[kept] = flights_[index];
    ++kept;
  }
  left_ = kept < arrived_;
  arrived_ = kept;
}

void Lane::TrackFlows() {
  if (!config_.flows) {
    std::fill_n(fates_.begin(), arrived_, FlowEngine::Arrival{FlowEngine::Fate::kPass, 0});
    return;
  }
  for (uint32_t i = 0; i < arrived_; ++i) held_[i] = {flights_[i].frame, flights_[i].number, records_[i].port};
  config_.flows->Track({records_, arrived_}, {held_.data(), arrived_}, config_.umem->data(), config_.frames_address,
                       clock_ns_, fates_);
}

void Lane::Classify() {
  for (uint32_t index = 0; index < arrived_; ++index) {
    const Record& record = records_[index];
    if (fates_[index].fate == FlowEngine::Fate::kHeld) continue;
    if (record.malformed != 0) Count(layout::kLaneCountersMalformed);
    if (fates_[index].fate == FlowEngine::Fate::kDropped) {
      DropByEngine(index, -1, fates_[index].reason, layout::kOutcomeKindsDrop);
      continue;
    }
    if (flights_[index].frame.oversize) {
      DropByEngine(index, -1, kOversize, layout::kOutcomeKindsDrop);
      continue;
    }
    if (answers_ && MeetNeighbour(index)) continue;
    const Path* path = FindPath(record);
    if (path == nullptr) {
      DropByEngine(index, -1, kNoPath, layout::kOutcomeKindsDrop);
    } else {
      Send(index, path->first, -1);
    }
  }
}

const Path* Lane::FindPath(const Record& record) const {
  const Side side = config_.flows ? config_.flows->SideOf(record.flow) : Side::kStays;
  for (const Path& path : program_->paths) {
    if (path.from != record.port || (path.side != Side::kAny && path.side != side)) continue;
    if (!path.match || Matches(*path.match, record, BytesOf(record))) return &path;
  }
  return nullptr;
}

const uint8_t* Lane::BytesOf(const Record& record) const {
  return config_.umem->data() + (record.frame - config_.frames_address);
}

// ---- hops ----

// Presents the frames of the first hop that has any.
int32_t Lane::Prepare() {
  const auto hops = static_cast<uint32_t>(program_->queues.size());
  for (; next_hop_ < hops; ++next_hop_) {
    if (program_->queues[next_hop_].count == 0) continue;
    if (!program_->hops[next_hop_].quarantined) break;
    SkipQuarantined(next_hop_);
  }
  if (next_hop_ == hops) return -1;
  const Queue& queue = program_->queues[next_hop_];
  batch_->count = queue.count;
  batch_->hop = next_hop_;
  batch_->time_ns = clock_ns_;
  std::memcpy(batch_->input, queue.records.data(), queue.count * sizeof(uint16_t));
  std::memset(static_cast<void*>(results_), 0, queue.count * sizeof(Result));
  const Function& function = program_->functions[program_->hops[next_hop_].function];
  if (function.outbox) OutboxReader::Clear(function.outbox);
  if (function.chunks) FillChunks(function, queue);
  if (function.recorder) RecordCall(layout::kCallKindsNfProcess, program_->hops[next_hop_].function, next_hop_);
  uint64_t* counters = program_->hops[next_hop_].counters;
  counters[layout::kHopCountersFrames] += queue.count;
  counters[layout::kHopCountersBatches] += 1;
  called_.store(static_cast<int32_t>(next_hop_), std::memory_order_relaxed);
  ticks_ = __rdtsc();
  return static_cast<int32_t>(next_hop_);
}

void Lane::SkipQuarantined(uint32_t index) {
  Queue& queue = program_->queues[index];
  const Hop& hop = program_->hops[index];
  if (hop.bypass) {
    SendAll(queue, hop.next, static_cast<int32_t>(index));
  } else {
    for (uint32_t i = 0; i < queue.count; ++i) {
      DropByEngine(queue.records[i], static_cast<int32_t>(index), layout::kEngineDropReasonsQuarantined,
                   layout::kOutcomeKindsDrop);
    }
  }
  queue.count = 0;
}

int32_t Lane::Advance(uint32_t index) {
  const Hop& hop = program_->hops[index];
  Queue& queue = program_->queues[index];
  NoteCall(hop, queue.count);
  Drain(hop.function, &queue);
  if (AllNext(queue.count)) {
    hop.counters[layout::kHopCountersNext] += queue.count;
    SendAll(queue, hop.next, static_cast<int32_t>(index));
  } else {
    for (uint32_t i = 0; i < queue.count; ++i) Carry(index, queue.records[i], results_[i]);
  }
  queue.count = 0;
  return Prepare();
}

// The call of a hop's function that was prepared last is over.
void Lane::NoteCall(const Hop& hop, uint32_t frames) {
  const uint64_t ticks = __rdtsc() - ticks_;
  called_.store(-1, std::memory_order_relaxed);
  hop.counters[layout::kHopCountersTicks] += ticks;
  histogram_.Add(hop.calls, ticks, frames);
}

// The usual case, decided for the whole batch at once: every result is still zero.
bool Lane::AllNext(uint32_t count) const {
  const auto* words = reinterpret_cast<const uint64_t*>(results_);
  uint64_t seen = 0;
  for (uint32_t i = 0; i < count * (sizeof(Result) / sizeof(uint64_t)); ++i) seen |= words[i];
  return seen == 0;
}

// Carries out what the function of a hop said of one frame. Trusts nothing.
void Lane::Carry(uint32_t index, uint32_t record_index, const Result& shared) {
  const Result result = shared;
  const Hop& hop = program_->hops[index];
  const auto from = static_cast<int32_t>(index);
  uint32_t why = 0;
  if (!Accept(hop, record_index, result, &why)) {
    hop.counters[layout::kHopCountersFaultFrames] += 1;
    NoteBadResult(index, record_index, result, why);
    return DropByEngine(record_index, from, why, layout::kOutcomeKindsFault);
  }
  switch (result.verdict) {
    case abi::kVerdictNext:
      hop.counters[layout::kHopCountersNext] += 1;
      return Send(record_index, hop.next, from);
    case abi::kVerdictTransmit:
      hop.counters[layout::kHopCountersTransmit] += 1;
      is_turned_[record_index] = true;
      has_turned_ = true;
      return Send(record_index, -1 - static_cast<Target>(result.target), from);
    case abi::kVerdictBranch:
      hop.counters[layout::kHopCountersBranch] += 1;
      return Send(record_index, hop.branches[result.target], from);
    case abi::kVerdictHost:
      hop.counters[layout::kHopCountersHost] += 1;
      return Host(record_index, from, result);
    default:
      hop.counters[layout::kHopCountersDrop] += 1;
      hop.counters[layout::kHopCountersCount + result.reason] += 1;
      return Drop(record_index, from, result.reason, result.value);
  }
}

// Checks a result and applies what it changes on the frame; if it does not hold, `why` is an engine reason.
bool Lane::Accept(const Hop& hop, uint32_t record_index, const Result& result, uint32_t* why) {
  if (result.verdict > abi::kVerdictHost) return *why = kBadVerdict, false;
  if (result.verdict == abi::kVerdictTransmit && result.target >= active_) return *why = kBadTarget, false;
  if (result.verdict == abi::kVerdictBranch && result.target >= hop.branches.size()) return *why = kBadTarget, false;
  const bool reasoned = result.verdict == abi::kVerdictDrop || result.verdict == abi::kVerdictHost;
  if (reasoned && result.reason >= hop.reasons) return *why = kBadReason, false;
  Record& record = records_[record_index];
  if (!reasoned && (result.flags & abi::kResultFlagMark)) record.mark = result.value;
  if ((result.flags & (abi::kResultFlagResized | abi::kResultFlagRewritten)) == 0) return true;
  if (!hop.writable) return *why = kNotWritable, false;
  changed_[record_index] = true;
  if ((result.flags & abi::kResultFlagResized) && !Resize(record_index, result)) return *why = kBadLength, false;
  ParseFrame(BytesOf(record), record);
  return true;
}

// Moves the frame's start and end; both must stay in its slot, and something must be left.
bool Lane::Resize(uint32_t record_index, const Result& result) {
  Frame& frame = flights_[record_index].frame;
  Record& record = records_[record_index];
  const int64_t slot = frame.offset & ~slot_mask_;
  const int64_t start = static_cast<int64_t>(frame.offset) + result.head;
  const int64_t end = start + result.length;
  if (start < slot || end > slot + config_.slot_bytes || result.length == 0) return false;
  const uint32_t cut = frame.wire_length > frame.length ? frame.wire_length - frame.length : 0;
  frame.offset = static_cast<uint32_t>(start);
  frame.length = result.length;
  frame.wire_length = result.length + cut;
  record.frame = config_.frames_address + frame.offset;
  record.length = frame.length;
  record.wire_length = frame.wire_length;
  return true;
}

int32_t Lane::Fault(uint32_t index) {
  const Hop& hop = program_->hops[index];
  Queue& queue = program_->queues[index];
  NoteCall(hop, queue.count);
  hop.counters[layout::kHopCountersFaults] += 1;
  hop.counters[layout::kHopCountersFaultFrames] += queue.count;
  if (hop.bypass) {
    SendAll(queue, hop.next, static_cast<int32_t>(index));
  } else {
    for (uint32_t i = 0; i < queue.count; ++i) {
      DropByEngine(queue.records[i], static_cast<int32_t>(index), kFault, layout::kOutcomeKindsFault);
    }
  }
  queue.count = 0;
  return Prepare();
}

// ---- where frames go ----

Lane::Queue& Lane::QueueOf(Target target) {
  if (IsHop(target)) return program_->queues[target];
  return target == kRoute ? route_queue_ : port_queues_[PortOf(target)];
}

void Lane::Send(uint32_t record_index, Target target, int32_t hop) {
  if (target == kConsume) {
    Count(layout::kLaneCountersConsumed);
    Note(record_index, hop, layout::kOutcomeKindsConsume, 0, 0, 0, false);
    return Free(record_index);
  }
  Queue& queue = QueueOf(target);
  queue.records[queue.count++] = static_cast<uint16_t>(record_index);
}

void Lane::SendAll(const Queue& from, Target target, int32_t hop) {
  if (target == kConsume) {
    for (uint32_t i = 0; i < from.count; ++i) Send(from.records[i], target, hop);
    return;
  }
  Queue& to = QueueOf(target);
  std::memcpy(to.records.data() + to.count, from.records.data(), from.count * sizeof(uint16_t));
  to.count += from.count;
}

void Lane::Host(uint32_t record_index, int32_t hop, const Result& result) {
  if (!ToKernel(record_index)) return DropByEngine(record_index, hop, kHostUnavailable, layout::kOutcomeKindsDrop);
  Count(layout::kLaneCountersHost);
  Note(record_index, hop, layout::kOutcomeKindsHost, 0, result.reason, result.value, false);
  Free(record_index);
}

void Lane::Drop(uint32_t record_index, int32_t hop, uint32_t reason, uint32_t detail) {
  Count(layout::kLaneCountersDropped);
  if (config_.reports && config_.reports->WantsDrop(clock_ns_))
    ReportDrop(record_index, hop, layout::kOutcomeKindsDrop, reason, detail, false);
  Note(record_index, hop, layout::kOutcomeKindsDrop, 0, reason, detail, false);
  Free(record_index);
}

void Lane::DropByEngine(uint32_t record_index, int32_t hop, uint32_t reason, uint32_t kind) {
  Count(layout::kLaneCountersDropped);
  Count(layout::kLaneCountersCount + reason);
  if (config_.reports && config_.reports->WantsDrop(clock_ns_)) ReportDrop(record_index, hop, kind, reason, 0, true);
  Note(record_index, hop, kind, 0, reason, 0, true);
  Free(record_index);
}

void Lane::Free(uint32_t record_index) { pool_.Release(flights_[record_index].frame.offset / config_.slot_bytes); }

void Lane::Note(uint32_t record_index, int32_t hop, uint32_t kind, uint32_t to, uint32_t reason, uint32_t detail,
                bool engine) {
  if (mirrored_ && !is_routed_[record_index]) MirrorOutcome(record_index, hop, kind, to, reason, detail, engine);
  if (test_frame_.under_way() && flights_[record_index].number == TestFrame::kNumber) {
    test_frame_.End({static_cast<uint8_t>(kind), static_cast<uint8_t>(to), static_cast<int16_t>(hop),
                     static_cast<uint16_t>(reason), engine, detail},
                    {});
  }
  if (!config_.keep_outcomes || outcome_count_ == outcomes_->size()) return;
  const Flight& flight = flights_[record_index];
  const Record& record = records_[record_index];
  (*outcomes_)[outcome_count_++] = {
      .number = flight.number,
      .time_ns = flight.frame.time_ns,
      .detail = detail,
      .flow = config_.flows && record.flow != 0 ? config_.flows->SerialOf(record.flow) : 0,
      .hop = static_cast<int16_t>(hop),
      .reason = static_cast<uint16_t>(reason),
      .kind = static_cast<uint8_t>(kind),
      .port = flight.entered,
      .to = static_cast<uint8_t>(to),
      .engine = engine,
      .record = static_cast<uint16_t>(record_index),
      .reserved = {},
  };
}

// ---- exhale ----

uint32_t Lane::Exhale() {
  Transmit();
  for (const auto& port : active()) port->Flush();
  MoveClock();
  if (config_.flows) {
    TakeReleased();
    config_.flows->Expire(clock_ns_, config_.virtual_clock);
    AbandonFragments(clock_ns_);
  }
  if (inlet_) inlet_->Flush();
  Publish();
  if (mirrored_) {
    for (const auto& mirror : mirrors_) {
      if (mirror) mirror->EndTurn();
    }
  }
  return (arrived_ > 0 || left_ || spread_.moves() || !pending_.empty() ? layout::kExhaleBusy : 0) |
         (TickIsDue() ? layout::kExhaleTick : 0) | (EventsAreDue() ? layout::kExhaleEvents : 0) |
         (bad_result_.is_held ? layout::kExhaleBadResult : 0);
}

// Fragments that do not wait any more: they come in again.
void Lane::TakeReleased() {
  HeldFragment released;
  while (pending_.size() < kPendingCapacity && config_.flows->Released({&released, 1}) > 0) {
    pending_.push_back(released);
  }
}

// With the frames' clock, time passes up to the next frame before it is received: what is due happens before it.
void Lane::MoveClock() {
  if (!config_.virtual_clock || !pending_.empty()) return;
  const uint64_t next = NextTime();
  if (next != UINT64_MAX) clock_ns_ = std::max(clock_ns_, next);
}

bool Lane::EventsAreDue() const {
  for (const Function& function : program_->functions) {
    if (function.events && config_.flows && config_.flows->HasEvents(function.subscriber)) return true;
  }
  return false;
}

void Lane::AbandonFragments(uint64_t now_ns) {
  HeldFragment held;
  while (extra_ < layout::kRecordsCapacity - abi::kBatchCapacity && config_.flows->Abandoned(now_ns, {&held, 1}) > 0) {
    DropHeld(held);
  }
}

void Lane::DropHeld(const HeldFragment& held) {
  const uint32_t index = abi::kBatchCapacity + extra_++;
  flights_[index] = {held.frame, held.number, held.port};
  is_routed_[index] = is_turned_[index] = false;
  records_[index] = {};
  records_[index].frame = config_.frames_address + held.frame.offset;
  records_[index].length = held.frame.length;
  records_[index].wire_length = held.frame.wire_length;
  records_[index].port = held.port;
  records_[index].link = held.frame.link;
  ParseFrame(BytesOf(records_[index]), records_[index]);
  DropByEngine(index, -1, layout::kEngineDropReasonsFragmentIncomplete, layout::kOutcomeKindsDrop);
}

bool Lane::TickIsDue() {
  constexpr uint64_t kMillisecond = 1'000'000;
  if (clock_ns_ < next_tick_ns_) return false;
  next_tick_ns_ = clock_ns_ + kMillisecond;
  batch_->count = 0;
  batch_->time_ns = clock_ns_;
  return true;
}

void Lane::Transmit() {
  if (has_turned_ && spread_.now > 1) PassTurned();
  if (routes_)
    RouteFrames();
  else if (route_queue_.count > 0)
    LeaveByRoute();
  if (answers_ || !waiting_for_hosts_.empty()) AddressFrames();
  for (uint32_t port = 0; port < active_; ++port) {
    if (port_queues_[port].count > 0) TransmitOn(port, port_queues_[port]);
  }
}

void Lane::TransmitOn(uint32_t index, Queue& queue) {
  Port& port = *ports_[index];
  if (test_frame_.under_way()) KeepTestFrame(index, queue);
  for (uint32_t i = 0; i < queue.count; ++i) staging_[i] = flights_[queue.records[i]].frame;
  for (uint32_t i = 0; config_.flows && i < queue.count; ++i) {
    const Record& record = records_[queue.records[i]];
    if (record.events & abi::kEventStart) config_.flows->NoteLeft(record.flow, index);
  }
  const uint32_t taken = port.Transmit({staging_.data(), queue.count});
  const bool noted = config_.keep_outcomes || mirrored_;
  for (uint32_t i = 0; noted && i < taken; ++i) {
    Note(queue.records[i], -1, layout::kOutcomeKindsForward, index, 0, 0, false);
  }
  Count(layout::kLaneCountersTransmitted, taken);
  const uint32_t reason = port.gone() ? kPortGone : kPortFull;
  for (uint32_t i = taken; i < queue.count; ++i) {
    DropByEngine(queue.records[i], -1, reason, layout::kOutcomeKindsDrop);
  }
  refused_[index] += queue.count - taken;
  queue.count = 0;
}

void Lane::Publish() {
  PublishUse();
  for (uint32_t i = 0; i < active_; ++i) {
    const PortCounters& from = ports_[i]->counters();
    const PortCounters& before = ports_before_[i];
    uint64_t* to = program_->port_counters[i];
    to[layout::kPortCountersReceiveFrames] = before.receive_frames + from.receive_frames;
    to[layout::kPortCountersReceiveBytes] = before.receive_bytes + from.receive_bytes;
    to[layout::kPortCountersReceiveDropped] = before.receive_dropped + from.receive_dropped;
    to[layout::kPortCountersTransmitFrames] = before.transmit_frames + from.transmit_frames;
    to[layout::kPortCountersTransmitBytes] = before.transmit_bytes + from.transmit_bytes;
    to[layout::kPortCountersTransmitDropped] = before.transmit_dropped + from.transmit_dropped + refused_[i];
  }
  if (!config_.flows) return;
  const FlowEngine::Counters& flows = config_.flows->counters();
  uint64_t* to = FlowCounters();
  to[layout::kFlowCountersLive] = config_.flows->table().size();
  to[layout::kFlowCountersStarted] = flows_before_.started + flows.started;
  to[layout::kFlowCountersEnded] = flows_before_.ended + flows.ended;
  to[layout::kFlowCountersEvicted] = flows_before_.evicted + flows.evicted;
  to[layout::kFlowCountersRefused] = flows_before_.refused + flows.refused;
  to[layout::kFlowCountersInvalid] = flows_before_.invalid + flows.invalid;
  to[layout::kFlowCountersIcmpErrors] = flows_before_.icmp_errors + flows.icmp_errors;
  to[layout::kFlowCountersFragmentsHeld] = flows_before_.fragments_held + flows.fragments_held;
  to[layout::kFlowCountersEventsMissed] = flows_before_.events_missed + flows.events_missed;
  to[layout::kFlowCountersMoved] = flows_before_.moved + flows.moved;
  to[layout::kFlowCountersMovedLost] = flows_before_.moved_lost + flows.moved_lost;
}

uint64_t* Lane::FlowCounters() const {
  return config_.lane_counters + layout::kLaneCountersCount + layout::kEngineDropReasonsCount;
}

FlowEngine::Counters Lane::ReadFlowCounters() const {
  const uint64_t* from = FlowCounters();
  return {.started = from[layout::kFlowCountersStarted],
          .ended = from[layout::kFlowCountersEnded],
          .evicted = from[layout::kFlowCountersEvicted],
          .refused = from[layout::kFlowCountersRefused],
          .invalid = from[layout::kFlowCountersInvalid],
          .icmp_errors = from[layout::kFlowCountersIcmpErrors],
          .fragments_held = from[layout::kFlowCountersFragmentsHeld],
          .events_missed = from[layout::kFlowCountersEventsMissed],
          .moved = from[layout::kFlowCountersMoved],
          .moved_lost = from[layout::kFlowCountersMovedLost]};
}

// ---- between turns ----

void Lane::Wait(int timeout_ms) {
  // The answer, or the first fragment, may come to another lane.
  const bool looks_again = !waiting_for_hosts_.empty() || (config_.flows && config_.flows->holds_fragments());
  if (spread_.now > 1 && looks_again) timeout_ms = std::min(timeout_ms, kLookAgainMs);
  std::array<pollfd, 64> descriptors;
  nfds_t count = 0;
  descriptors[count++] = {wake_, POLLIN, 0};
  for (const auto& port : active()) {
    const int descriptor = port->gone() ? -1 : port->PollDescriptor();
    if (descriptor >= 0 && count < descriptors.size()) descriptors[count++] = {descriptor, POLLIN, 0};
  }
  if (config_.handover && !config_.handover->BeginSleep(config_.lane_index)) return;
  waiting_.store(true, std::memory_order_relaxed);
  poll(descriptors.data(), count, timeout_ms);
  waiting_.store(false, std::memory_order_relaxed);
  if (config_.handover) config_.handover->EndSleep(config_.lane_index);
  uint64_t woken;
  if (descriptors[0].revents & POLLIN) [[maybe_unused]]
    const ssize_t drained = read(wake_, &woken, sizeof(woken));
}

bool Lane::RunOut() {
  if (!config_.flows) return false;
  uint64_t next = std::min(config_.flows->NextDeadline(), waiting_for_hosts_.deadline_ns());
  if (routes_) next = std::min(next, waiting_frames_.deadline_ns());
  if (next == UINT64_MAX && pending_.empty()) return false;
  outcome_count_ = 0;
  extra_ = 0;
  if (next != UINT64_MAX) clock_ns_ = std::max(clock_ns_, next);
  config_.flows->Expire(clock_ns_, true);
  AbandonFragments(clock_ns_);
  Publish();
  return true;
}

void Lane::EndFlows() {
  GiveWaitingUp();
  if (!config_.flows) return;
  config_.flows->EndAll(clock_ns_);
  for (const HeldFragment& held : pending_) pool_.Release(held.frame.offset / config_.slot_bytes);
  pending_.clear();
  do {
    extra_ = 0;
    AbandonFragments(UINT64_MAX);
  } while (extra_ > 0);
  Publish();
}

uint32_t Lane::TakeOutcomes() { return outcome_count_; }

bool Lane::IsBehind() {
  if (!config_.handover) return !pending_.empty();
  ReleaseAstray();
  return !pending_.empty() || !config_.handover->is_empty(config_.lane_index);
}

int32_t Lane::RecordOf(uint64_t number) const {
  for (uint32_t index = 0; index < arrived_; ++index) {
    if (flights_[index].number == number) return static_cast<int32_t>(index);
  }
  return -1;
}

uint64_t Lane::NextTime() {
  uint64_t earliest = UINT64_MAX;
  for (const auto& port : active()) earliest = std::min(earliest, port->NextTime());
  return earliest;
}

}  // namespace sluice
