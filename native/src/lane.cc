#include "lane.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <x86intrin.h>

#include "parser.h"

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
};

uint64_t MachineTime() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

Lane::Lane(LaneConfig config, Program program)
    : config_(std::move(config)),
      program_(std::move(program)),
      pool_(static_cast<uint32_t>(config_.umem->bytes() / config_.slot_bytes), config_.slot_bytes),
      batch_(reinterpret_cast<Batch*>(config_.shared->data() + layout::kSharedBatchOffset)),
      results_(reinterpret_cast<Result*>(config_.shared->data() + layout::kSharedResultsOffset)),
      records_(reinterpret_cast<Record*>(config_.shared->data() + layout::kSharedRecordsOffset)),
      slot_mask_(config_.slot_bytes - 1),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      hop_queues_(program_.hops.size()) {
  outcomes_ = std::make_shared<std::vector<Outcome>>(config_.keep_outcomes ? abi::kBatchCapacity : 0);
}

Lane::~Lane() {
  ports_.clear();
  close(wake_);
}

uint32_t Lane::AddPort(std::unique_ptr<Port> port) {
  ports_.push_back(std::move(port));
  port_queues_.emplace_back();
  refused_.push_back(0);
  return static_cast<uint32_t>(ports_.size() - 1);
}

// ---- inhale ----

int32_t Lane::Inhale() {
  Count(layout::kLaneCountersTurns);
  outcome_count_ = 0;
  arrived_ = 0;
  next_hop_ = 0;
  if (!config_.virtual_clock) clock_ns_ = std::max(clock_ns_, MachineTime());
  if (Receive() == 0) return -1;
  received_ += arrived_;
  Count(layout::kLaneCountersReceived, arrived_);
  ParseBatch(config_.umem->data(), config_.frames_address, records_, arrivals_.data(), arrived_);
  Classify();
  return Prepare();
}

uint32_t Lane::Receive() { return config_.virtual_clock ? ReceiveInTime() : ReceiveInTurn(); }

uint32_t Lane::ReceiveInTurn() {
  const auto ports = static_cast<uint32_t>(ports_.size());
  for (uint32_t i = 0; i < ports && arrived_ < config_.batch_limit; ++i) {
    const uint32_t port = (first_port_ + i) % ports;
    const uint32_t count = ports_[port]->Receive({staging_.data(), config_.batch_limit - arrived_});
    Admit(port, {staging_.data(), count});
  }
  if (++first_port_ >= ports) first_port_ = 0;
  return arrived_;
}

// Files and tests: always the frame with the earliest time, the first port on a tie.
uint32_t Lane::ReceiveInTime() {
  while (arrived_ < config_.batch_limit) {
    uint32_t port = 0;
    uint64_t earliest = UINT64_MAX;
    for (uint32_t i = 0; i < ports_.size(); ++i) {
      const uint64_t time = ports_[i]->NextTime();
      if (time < earliest) earliest = time, port = i;
    }
    if (earliest == UINT64_MAX) break;
    const uint32_t count = ports_[port]->Receive({staging_.data(), 1});
    if (count == 0) break;
    Admit(port, {staging_.data(), count});
  }
  return arrived_;
}

void Lane::Admit(uint32_t port, std::span<const Frame> frames) {
  for (const Frame& frame : frames) {
    const uint32_t index = arrived_++;
    if (config_.virtual_clock) clock_ns_ = std::max(clock_ns_, frame.time_ns);
    flights_[index] = {frame, received_ + index + 1};
    Record& record = records_[index];
    record = {};
    record.frame = config_.frames_address + frame.offset;
    record.length = frame.length;
    record.wire_length = frame.wire_length;
    record.port = static_cast<uint8_t>(port);
    record.link = frame.link;
    arrivals_[index] = static_cast<uint16_t>(index);
  }
}

void Lane::Classify() {
  for (uint32_t index = 0; index < arrived_; ++index) {
    const Record& record = records_[index];
    if (record.malformed != 0) Count(layout::kLaneCountersMalformed);
    if (flights_[index].frame.oversize) {
      DropByEngine(index, -1, kOversize, layout::kOutcomeKindsDrop);
      continue;
    }
    const Path* path = FindPath(record);
    if (path == nullptr) {
      DropByEngine(index, -1, kNoPath, layout::kOutcomeKindsDrop);
    } else {
      Send(index, path->first, -1);
    }
  }
}

const Path* Lane::FindPath(const Record& record) const {
  for (const Path& path : program_.paths) {
    if (path.from != record.port) continue;
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
  const auto hops = static_cast<uint32_t>(hop_queues_.size());
  while (next_hop_ < hops && hop_queues_[next_hop_].count == 0) ++next_hop_;
  if (next_hop_ == hops) return -1;
  const Queue& queue = hop_queues_[next_hop_];
  batch_->count = queue.count;
  batch_->hop = next_hop_;
  batch_->time_ns = clock_ns_;
  std::memcpy(batch_->input, queue.records.data(), queue.count * sizeof(uint16_t));
  std::memset(static_cast<void*>(results_), 0, queue.count * sizeof(Result));
  uint64_t* counters = program_.hops[next_hop_].counters;
  counters[layout::kHopCountersFrames] += queue.count;
  counters[layout::kHopCountersBatches] += 1;
  ticks_ = __rdtsc();
  return static_cast<int32_t>(next_hop_);
}

int32_t Lane::Advance(uint32_t index) {
  const Hop& hop = program_.hops[index];
  hop.counters[layout::kHopCountersTicks] += __rdtsc() - ticks_;
  Queue& queue = hop_queues_[index];
  if (AllNext(queue.count)) {
    hop.counters[layout::kHopCountersNext] += queue.count;
    SendAll(queue, hop.next, static_cast<int32_t>(index));
  } else {
    for (uint32_t i = 0; i < queue.count; ++i) Carry(index, queue.records[i], results_[i]);
  }
  queue.count = 0;
  return Prepare();
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
  const Hop& hop = program_.hops[index];
  const auto from = static_cast<int32_t>(index);
  uint32_t why = 0;
  if (!Accept(hop, record_index, result, &why)) {
    hop.counters[layout::kHopCountersFaultFrames] += 1;
    return DropByEngine(record_index, from, why, layout::kOutcomeKindsFault);
  }
  switch (result.verdict) {
    case abi::kVerdictNext:
      hop.counters[layout::kHopCountersNext] += 1;
      return Send(record_index, hop.next, from);
    case abi::kVerdictTransmit:
      hop.counters[layout::kHopCountersTransmit] += 1;
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
  if (result.verdict == abi::kVerdictTransmit && result.target >= ports_.size()) return *why = kBadTarget, false;
  if (result.verdict == abi::kVerdictBranch && result.target >= hop.branches.size()) return *why = kBadTarget, false;
  const bool reasoned = result.verdict == abi::kVerdictDrop || result.verdict == abi::kVerdictHost;
  if (reasoned && result.reason >= hop.reasons) return *why = kBadReason, false;
  Record& record = records_[record_index];
  if (!reasoned && (result.flags & abi::kResultFlagMark)) record.mark = result.value;
  if ((result.flags & (abi::kResultFlagResized | abi::kResultFlagRewritten)) == 0) return true;
  if (!hop.writable) return *why = kNotWritable, false;
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
  const Hop& hop = program_.hops[index];
  Queue& queue = hop_queues_[index];
  hop.counters[layout::kHopCountersTicks] += __rdtsc() - ticks_;
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

void Lane::Send(uint32_t record_index, Target target, int32_t hop) {
  if (target == kConsume) {
    Count(layout::kLaneCountersConsumed);
    Note(record_index, hop, layout::kOutcomeKindsConsume, 0, 0, 0, false);
    return Free(record_index);
  }
  Queue& queue = IsHop(target) ? hop_queues_[target] : port_queues_[PortOf(target)];
  queue.records[queue.count++] = static_cast<uint16_t>(record_index);
}

void Lane::SendAll(const Queue& from, Target target, int32_t hop) {
  if (target == kConsume) {
    for (uint32_t i = 0; i < from.count; ++i) Send(from.records[i], target, hop);
    return;
  }
  Queue& to = IsHop(target) ? hop_queues_[target] : port_queues_[PortOf(target)];
  std::memcpy(to.records.data() + to.count, from.records.data(), from.count * sizeof(uint16_t));
  to.count += from.count;
}

void Lane::Host(uint32_t record_index, int32_t hop, const Result& result) {
  if (!ports_[records_[record_index].port]->reaches_host()) {
    return DropByEngine(record_index, hop, kHostUnavailable, layout::kOutcomeKindsDrop);
  }
  Count(layout::kLaneCountersHost);
  Note(record_index, hop, layout::kOutcomeKindsHost, 0, result.reason, result.value, false);
  Free(record_index);
}

void Lane::Drop(uint32_t record_index, int32_t hop, uint32_t reason, uint32_t detail) {
  Count(layout::kLaneCountersDropped);
  Note(record_index, hop, layout::kOutcomeKindsDrop, 0, reason, detail, false);
  Free(record_index);
}

void Lane::DropByEngine(uint32_t record_index, int32_t hop, uint32_t reason, uint32_t kind) {
  Count(layout::kLaneCountersDropped);
  Count(layout::kLaneCountersCount + reason);
  Note(record_index, hop, kind, 0, reason, 0, true);
  Free(record_index);
}

void Lane::Free(uint32_t record_index) { pool_.Release(flights_[record_index].frame.offset / config_.slot_bytes); }

void Lane::Note(uint32_t record_index, int32_t hop, uint32_t kind, uint32_t to, uint32_t reason, uint32_t detail,
                bool engine) {
  if (!config_.keep_outcomes) return;
  const Flight& flight = flights_[record_index];
  const Record& record = records_[record_index];
  (*outcomes_)[outcome_count_++] = {
      .number = flight.number,
      .time_ns = flight.frame.time_ns,
      .detail = detail,
      .flow = record.flow,
      .hop = static_cast<int16_t>(hop),
      .reason = static_cast<uint16_t>(reason),
      .kind = static_cast<uint8_t>(kind),
      .port = record.port,
      .to = static_cast<uint8_t>(to),
      .engine = engine,
      .record = static_cast<uint16_t>(record_index),
      .reserved = {},
  };
}

// ---- exhale ----

uint32_t Lane::Exhale() {
  Transmit();
  for (auto& port : ports_) port->Flush();
  Publish();
  return (arrived_ > 0 ? layout::kExhaleBusy : 0) | (TickIsDue() ? layout::kExhaleTick : 0);
}

// With the frames' clock, time passes up to the next frame before it is received: what is due happens before it.
bool Lane::TickIsDue() {
  constexpr uint64_t kMillisecond = 1'000'000;
  if (config_.virtual_clock) {
    const uint64_t next = NextTime();
    if (next != UINT64_MAX) clock_ns_ = std::max(clock_ns_, next);
  }
  if (clock_ns_ < next_tick_ns_) return false;
  next_tick_ns_ = clock_ns_ + kMillisecond;
  batch_->count = 0;
  batch_->time_ns = clock_ns_;
  return true;
}

void Lane::Transmit() {
  for (uint32_t port = 0; port < ports_.size(); ++port) {
    if (port_queues_[port].count > 0) TransmitOn(port, port_queues_[port]);
  }
}

void Lane::TransmitOn(uint32_t index, Queue& queue) {
  Port& port = *ports_[index];
  for (uint32_t i = 0; i < queue.count; ++i) staging_[i] = flights_[queue.records[i]].frame;
  const uint32_t taken = port.Transmit({staging_.data(), queue.count});
  for (uint32_t i = 0; i < taken; ++i) Note(queue.records[i], -1, layout::kOutcomeKindsForward, index, 0, 0, false);
  Count(layout::kLaneCountersTransmitted, taken);
  const uint32_t reason = port.gone() ? kPortGone : kPortFull;
  for (uint32_t i = taken; i < queue.count; ++i) {
    DropByEngine(queue.records[i], -1, reason, layout::kOutcomeKindsDrop);
  }
  refused_[index] += queue.count - taken;
  queue.count = 0;
}

void Lane::Publish() {
  for (uint32_t i = 0; i < ports_.size(); ++i) {
    const PortCounters& from = ports_[i]->counters();
    uint64_t* to = config_.port_counters[i];
    to[layout::kPortCountersReceiveFrames] = from.receive_frames;
    to[layout::kPortCountersReceiveBytes] = from.receive_bytes;
    to[layout::kPortCountersReceiveDropped] = from.receive_dropped;
    to[layout::kPortCountersTransmitFrames] = from.transmit_frames;
    to[layout::kPortCountersTransmitBytes] = from.transmit_bytes;
    to[layout::kPortCountersTransmitDropped] = from.transmit_dropped + refused_[i];
  }
}

// ---- between turns ----

void Lane::Wait(int timeout_ms) {
  std::array<pollfd, 64> descriptors;
  nfds_t count = 0;
  descriptors[count++] = {wake_, POLLIN, 0};
  for (const auto& port : ports_) {
    const int descriptor = port->gone() ? -1 : port->PollDescriptor();
    if (descriptor >= 0 && count < descriptors.size()) descriptors[count++] = {descriptor, POLLIN, 0};
  }
  poll(descriptors.data(), count, timeout_ms);
  uint64_t woken;
  if (descriptors[0].revents & POLLIN) [[maybe_unused]] const ssize_t drained = read(wake_, &woken, sizeof(woken));
}

uint32_t Lane::TakeOutcomes() { return outcome_count_; }

uint64_t Lane::NextTime() {
  uint64_t earliest = UINT64_MAX;
  for (const auto& port : ports_) earliest = std::min(earliest, port->NextTime());
  return earliest;
}

}  // namespace sluice
