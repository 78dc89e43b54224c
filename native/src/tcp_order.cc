#include "tcp_order.h"

#include "tcp_round_trip.h"
#include "tcp_states.h"

namespace sluice {
namespace {

// RFC 9293, section 3.8.4: the last acknowledged byte again, or nothing in its place, to make the other side answer.
bool IsKeepAlive(const TcpFrame& frame, uint32_t expected) {
  const TcpSegment& segment = frame.segment;
  return segment.payload <= 1 && !segment.has(kTcpSyn | kTcpFin) && segment.seq == expected - 1 &&
         frame.receiver_traits().acks && frame.receiver().max_ack == expected;
}

// The one byte beyond a closed window, again.
bool IsWindowProbe(const TcpFrame& frame, uint32_t expected) {
  const TcpSegment& segment = frame.segment;
  return segment.payload == 1 && segment.end == expected && segment.end == frame.sender().max_end &&
         frame.receiver_traits().acks && frame.receiver().max_ack == segment.seq;
}

bool FillsGap(const TcpFrame& frame) {
  TcpSide& sender = frame.sender();
  const TcpSegment& segment = frame.segment;
  if (sender.gap_start == sender.gap_end) return false;
  if (!IsBefore(segment.seq, sender.gap_end) || !IsAfter(segment.end, sender.gap_start)) return false;
  if (!IsAfter(segment.seq, sender.gap_start)) {
    sender.gap_start = IsBefore(segment.end, sender.gap_end) ? segment.end : sender.gap_end;
  } else if (!IsBefore(segment.end, sender.gap_end)) {
    sender.gap_end = segment.seq;
  }
  return true;
}

// Of a segment that takes sequence numbers, and begins before those that are `expected`.
uint32_t MeetOld(const TcpFrame& frame, uint32_t expected) {
  const uint32_t data = frame.segment.payload != 0 ? abi::kEventData : 0;
  if (IsKeepAlive(frame, expected)) return 0;
  if (IsWindowProbe(frame, expected)) return data;
  if (FillsGap(frame)) {
    CountUp(frame.flow.out_of_order[frame.from]);
    return data | abi::kEventOutOfOrder;
  }
  const bool answers_syn = frame.segment.has(kTcpSyn) && frame.segment.has(kTcpAck);
  if (answers_syn && !frame.took(kSynAcked, frame.to())) return data;  // both open at the same time
  CountUp(frame.flow.retransmissions[frame.from]);
  frame.connection.retransmissions += frame.connection.retransmissions != 0xff;
  DistrustTiming(frame.sender_traits());
  return data | abi::kEventRetransmission;
}

// A gap behind a gap makes one of both: what came between is taken for missing, too, until it is acknowledged.
void OpenGap(TcpSide& sender, uint32_t from, uint32_t to) {
  if (sender.gap_start == sender.gap_end) sender.gap_start = from;
  sender.gap_end = to;
}

}  // namespace

uint32_t NoteOrder(const TcpFrame& frame, uint32_t expected) {
  const TcpSegment& segment = frame.segment;
  if (segment.seq == segment.end) return 0;
  if (IsBefore(segment.seq, expected)) return MeetOld(frame, expected);
  if (segment.seq != expected && !frame.sender_traits().loose) OpenGap(frame.sender(), expected, segment.seq);
  return segment.payload != 0 ? abi::kEventData : 0;
}

}  // namespace sluice
