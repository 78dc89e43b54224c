// How a turn ends: frames leave, what is due happens, and counters are published.
#include <algorithm>

#include "engine_reason.h"
#include "lane.h"
#include "parser.h"

namespace sluice {

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

}  // namespace sluice
