// From hop to hop: batches are presented, results believed or not, and frames go where they say.
#include <x86intrin.h>

#include <cstring>

#include "engine_reason.h"
#include "lane.h"
#include "parser.h"

namespace sluice {

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

}  // namespace sluice
