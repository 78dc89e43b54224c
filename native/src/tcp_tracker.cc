#include "tcp_tracker.h"

#include <algorithm>

#include "flow_deadline.h"
#include "reply_tracker.h"
#include "sctp_tracker.h"
#include "tcp_frame.h"
#include "tcp_handshake.h"
#include "tcp_order.h"
#include "tcp_prediction.h"
#include "tcp_reset.h"
#include "tcp_round_trip.h"
#include "tcp_states.h"
#include "tcp_window.h"

namespace sluice {
namespace {

constexpr uint8_t kProtoIcmp = 1;
constexpr uint8_t kProtoTcp = 6;
constexpr uint8_t kProtoUdp = 17;
constexpr uint8_t kProtoIcmpv6 = 58;
constexpr uint8_t kProtoSctp = 132;

// ---- how the connection goes on ----

// An acknowledgement that does not reach the SYN is not of this connection.
bool MissesSyn(const TcpFrame& frame) {
  if (!frame.segment.has(kTcpAck) || !frame.receiver_traits().syn || frame.took(kSynAcked, frame.to())) return false;
  return !IsAfter(frame.segment.ack, frame.receiver().isn);
}

// Where windows are not checked, they are what the segments say.
void WidenWindows(const TcpFrame& frame) {
  frame.sender().max_end = Later(frame.sender().max_end, frame.segment.seq);
  if (frame.segment.has(kTcpAck)) frame.receiver().max_end = Later(frame.receiver().max_end, frame.segment.ack);
}

uint8_t StepsAfter(const TcpFrame& frame) {
  const TcpSegment& segment = frame.segment;
  uint8_t steps = frame.connection.steps;
  if (segment.has(kTcpSyn)) steps |= kSynSent << frame.from;
  if (segment.has(kTcpFin)) steps |= kFinSent << frame.from;
  if (!segment.has(kTcpAck)) return steps;
  if (steps & (kSynSent << frame.to())) steps |= kSynAcked << frame.to();
  const bool all = !IsBefore(segment.ack, frame.receiver().end);
  if (all && (steps & (kFinSent << frame.to()))) steps |= kFinAcked << frame.to();
  return steps;
}

// Of steps that were taken now.
uint32_t EventsOfSteps(uint8_t before, uint8_t after) {
  constexpr uint8_t kFins = kBothSides * kFinSent;
  uint32_t events = 0;
  if ((before & kFins) == 0 && (after & kFins) != 0) events |= abi::kEventHalfClosed;
  if (kStateOfSteps[after] == abi::kFlowStateTimeWait) events |= abi::kEventClosed;
  return events;
}

uint32_t TakeSteps(const TcpFrame& frame) {
  const uint8_t before = frame.connection.steps, after = StepsAfter(frame);
  frame.connection.steps = after;
  if (before == after || frame.flow.state == abi::kFlowStateClosed) return 0;
  frame.flow.state = kStateOfSteps[after];
  return EventsOfSteps(before, after);
}

// What the segment says of time and windows; whether it made any progress.
bool Learn(const TcpFrame& frame, uint32_t expected) {
  const bool acks = frame.segment.has(kTcpAck);
  const uint32_t acked = frame.sender().max_ack;
  if (acks && frame.receiver_traits().timing) {
    const bool answer = StopTiming(frame.receiver(), frame.receiver_traits(), frame.segment, frame.now_ns);
    if (answer) frame.flow.rtt_us = RoundTrip(frame.connection);
  }
  NoteSent(frame);
  if (acks) NoteAck(frame);
  const bool fresh = frame.sender().end != expected;
  if (fresh && !frame.sender_traits().timing) {
    StartTiming(frame.sender(), frame.sender_traits(), frame.segment, frame.now_ns);
  }
  if (frame.fragment) frame.sender_traits().loose = 1;
  return fresh || frame.sender().max_ack != acked;
}

uint32_t CountZeroWindow(const TcpFrame& frame) {
  CountUp(frame.flow.zero_windows[frame.from]);
  return abi::kEventZeroWindow;
}

TcpStep Advance(const TcpFrame& frame) {
  if (!IsOpened(frame.connection.steps) && MissesSyn(frame)) return Invalid();
  const bool sound = HasSoundNumbers(frame) && (!frame.segment.has(kTcpAck) || HasSoundAck(frame));
  if (!sound) {
    if (!frame.config.be_liberal) return Invalid();
    WidenWindows(frame);
  }
  const uint32_t expected = frame.sender().end;
  uint32_t events = NoteOrder(frame, expected);
  if (Learn(frame, expected)) frame.connection.retransmissions = 0;
  if (frame.segment.window == 0 && frame.segment.has(kTcpAck)) events |= CountZeroWindow(frame);
  if (frame.connection.challenger == frame.from + 1) frame.connection.challenger = 0;
  if (frame.connection.steps != kSynSteps || frame.segment.has(kTcpFin)) events |= TakeSteps(frame);
  return Taken(events);
}

TcpStep Follow(const TcpFrame& frame, Handshake handshake) {
  switch (handshake) {
    case Handshake::kAdvance:
      return Advance(frame);
    case Handshake::kChallenge:
      return Passed(abi::kEventChallenge);
    case Handshake::kReuse:
      return {TcpOutcome::kReuse, 0};
    case Handshake::kInvalid:
      break;
  }
  return Invalid();
}

// ---- one segment ----

constexpr uint64_t Bit(uint8_t flags) { return uint64_t{1} << flags; }

// What an end may send, but for PSH, which may be anywhere; bits by FIN … URG.
constexpr uint64_t kSoundFlags = Bit(kTcpSyn) | Bit(kTcpSyn | kTcpUrg) | Bit(kTcpSyn | kTcpAck) | Bit(kTcpRst) |
                                 Bit(kTcpRst | kTcpAck) | Bit(kTcpFin | kTcpAck) | Bit(kTcpFin | kTcpAck | kTcpUrg) |
                                 Bit(kTcpAck) | Bit(kTcpAck | kTcpUrg);

bool HasSoundFlags(const TcpSegment& segment) {
  constexpr uint8_t kKnown = kTcpFin | kTcpSyn | kTcpRst | kTcpAck | kTcpUrg;
  return (kSoundFlags >> (segment.flags & kKnown)) & 1;
}

// Whether it can be said what belongs to the connection: of a refused one, only one side was heard.
bool HasNumbers(const TcpFrame& frame) {
  const auto& traits = frame.connection.traits;
  return (traits[0].known || traits[0].loose) && (traits[1].known || traits[1].loose);
}

TcpStep Meet(const TcpFrame& frame) {
  const TcpSegment& segment = frame.segment;
  if (!HasSoundFlags(segment)) return Invalid();
  if (segment.has(kTcpRst)) return MeetReset(frame);
  if (segment.has(kTcpSyn)) return Follow(frame, segment.has(kTcpAck) ? MeetSynAck(frame) : MeetSyn(frame));
  const uint8_t state = frame.flow.state;
  if (state == abi::kFlowStateClosed && !HasNumbers(frame)) return Passed();
  const bool unopened = state == abi::kFlowStateNew || state == abi::kFlowStateSynSent;
  return unopened ? Follow(frame, PickUp(frame)) : Advance(frame);
}

uint64_t DeadlineOf(FlowState& flow, bool zero_window, uint64_t now_ns, const FlowTimeouts& timeouts) {
  const TcpConnection& connection = ConnectionOf(flow);
  const uint32_t seconds = timeouts.tcp[flow.state];
  const bool stalled = zero_window || connection.traits[0].unacknowledged || connection.traits[1].unacknowledged ||
                       connection.retransmissions >= timeouts.tcp_retransmissions;
  return DeadlineOf(flow, stalled ? std::min(seconds, timeouts.tcp_unacknowledged) : seconds, now_ns);
}

// REPLIED, and ASSURED once the connection is open and both sides were heard.
void NoteFlags(const TcpFrame& frame) {
  const auto& traits = frame.connection.traits;
  if (frame.from == 1) frame.flow.flags |= abi::kFlowFlagReplied;
  const bool heard = traits[0].known && traits[1].known;
  if (heard && IsOpened(frame.connection.steps)) frame.flow.flags |= abi::kFlowFlagAssured;
}

[[gnu::noinline]] TrackResult TrackSegment(FlowState& flow, uint8_t direction, const Record& record,
                                           const TcpSegment& segment, uint64_t now_ns, const TrackerConfig& config) {
  const TcpFrame frame = {.flow = flow,
                          .connection = ConnectionOf(flow),
                          .segment = segment,
                          .config = config,
                          .now_ns = now_ns,
                          .from = direction,
                          .fragment = (record.flags & abi::kRecordFlagFragment) != 0};
  const bool opened = IsOpened(frame.connection.steps);
  const TcpStep step = Meet(frame);
  if (step.outcome == TcpOutcome::kReuse) return {0, flow.deadline_ns, true};
  flow.tcp_flags[direction] |= segment.flags;
  if (step.outcome == TcpOutcome::kInvalid) {
    return InvalidFrame(flow, config.timeouts.tcp[flow.state], now_ns);
  }
  if (step.outcome == TcpOutcome::kPassed) return {step.events, flow.deadline_ns, false};
  const bool open = IsOpened(frame.connection.steps);
  NoteFlags(frame);
  const uint32_t events = step.events | (open && !opened ? abi::kEventEstablished : 0);
  return {events, DeadlineOf(flow, segment.window == 0, now_ns, config.timeouts), false};
}

TrackResult TrackPredicted(FlowState& flow, const TcpSegment& segment, const TrackerConfig& config, uint64_t now_ns,
                           uint8_t direction) {
  const uint32_t events = TakePredicted(flow, ConnectionOf(flow), segment, direction, now_ns);
  flow.tcp_flags[direction] |= segment.flags;
  return {events, DeadlineOf(flow, false, now_ns, config.timeouts), false};
}

// A later fragment has no header. How far its segment goes is known when it is acknowledged.
TrackResult TrackFragment(FlowState& flow, uint8_t direction, uint64_t now_ns, const FlowTimeouts& timeouts) {
  ConnectionOf(flow).traits[direction].loose = 1;
  return {abi::kEventData, DeadlineOf(flow, timeouts.tcp[flow.state], now_ns), false};
}

template <bool kPredict>
TrackResult TrackTcp(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                     const TrackerConfig& config, const TcpShifts& shifts) {
  const bool fragment = (record.flags & abi::kRecordFlagFragment) != 0;
  const bool header = record.ip_proto == kProtoTcp && record.l4_offset != abi::kOffsetNone;
  if (record.malformed != 0 || (!header && !fragment)) {
    return InvalidFrame(flow, config.timeouts.tcp[flow.state], now_ns);
  }
  if (!header) return TrackFragment(flow, direction, now_ns, config.timeouts);
  const TcpSegment segment = ReadTcpSegment(record, bytes, shifts.of[direction ^ 1]);
  if (kPredict && !fragment && IsPredicted(flow, ConnectionOf(flow), segment, direction)) {
    return TrackPredicted(flow, segment, config, now_ns, direction);
  }
  return TrackSegment(flow, direction, record, segment, now_ns, config);
}

template <bool kPredict>
TrackResult TrackProtocol(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes,
                          uint64_t now_ns, const TrackerConfig& config, const TcpShifts& shifts) {
  if (flow.ip_proto == kProtoTcp) return TrackTcp<kPredict>(flow, direction, record, bytes, now_ns, config, shifts);
  switch (flow.ip_proto) {
    case kProtoUdp:
      return TrackUdp(flow, direction, record, bytes, now_ns, config.timeouts);
    case kProtoIcmp:
    case kProtoIcmpv6:
      return TrackIcmp(flow, direction, record, bytes, now_ns, config);
    case kProtoSctp:
      return TrackSctp(flow, direction, record, bytes, now_ns, config);
  }
  return TrackOther(flow, direction, record, bytes, now_ns, config.timeouts);
}

template <bool kPredict>
TrackResult Track(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                  const TrackerConfig& config, const TcpShifts& shifts) {
  const bool first = flow.deadline_ns == 0;
  if (first) {
    flow.state = abi::kFlowStateNew;
    flow.start_ns = now_ns;
  }
  TrackResult result = TrackProtocol<kPredict>(flow, direction, record, bytes, now_ns, config, shifts);
  flow.deadline_ns = result.deadline_ns;
  if (first) result.events |= abi::kEventStart;
  return result;
}

}  // namespace

FlowTimeouts DefaultFlowTimeouts() {
  FlowTimeouts timeouts = {.tcp_unacknowledged = 300, .tcp_retransmissions = 3};
  timeouts.tcp = {10, 10, 432000, 120, 60, 120, 60, 30, 120, 10, 120};
  timeouts.udp = {30, 30, 120};
  timeouts.icmp = {30, 30, 30};
  timeouts.sctp = {30, 30, 210, 3, 3, 3, 3, 3, 10, 10, 3};
  timeouts.other = {600, 600, 600};
  return timeouts;
}

TrackResult TrackFrame(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                       const TrackerConfig& config, const TcpShifts& shifts) {
  return Track<true>(flow, direction, record, bytes, now_ns, config, shifts);
}

TrackResult TrackFrameUnpredicted(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes,
                                  uint64_t now_ns, const TrackerConfig& config, const TcpShifts& shifts) {
  return Track<false>(flow, direction, record, bytes, now_ns, config, shifts);
}

TcpTrack TrackOfSuccessor(const FlowState& ended) {
  FlowState before = ended, after = {};
  const TcpConnection& known = ConnectionOf(before);
  TcpConnection& successor = ConnectionOf(after);
  if (ended.ip_proto == kProtoTcp && known.challenger != 0) {
    successor.challenger = known.challenger;
    successor.challenge_scale = known.challenge_scale;
    successor.challenge_isn = known.challenge_isn;
    successor.challenge_payload = known.challenge_payload;
    successor.challenge_window = known.challenge_window;
  }
  return after.tcp;
}

}  // namespace sluice
