#include "tcp_reset.h"

#include "tcp_states.h"
#include "tcp_window.h"

namespace sluice {
namespace {

TcpStep Reset(const TcpFrame& frame) {
  frame.flow.state = abi::kFlowStateClosed;
  return Taken(abi::kEventReset);
}

bool AcksSyn(const TcpFrame& frame) {
  return frame.segment.has(kTcpAck) && frame.receiver_traits().syn &&
         IsAfter(frame.segment.ack, frame.receiver().isn) && !IsAfter(frame.segment.ack, frame.receiver().end);
}

// In SYN_SENT the other side refuses the SYN by its number. The opener gives up with its own number, or resets what an
// answer that was not for its SYN stands for; that is not its new connection.
TcpStep MeetEarlyReset(const TcpFrame& frame) {
  if (!frame.took(kSynSent, frame.from)) return AcksSyn(frame) ? Reset(frame) : Invalid();
  const TcpSide& opener = frame.sender();
  if (frame.segment.seq == opener.end || frame.segment.seq == opener.isn + 1) return Reset(frame);
  const bool answers = frame.receiver_traits().acks && frame.segment.seq == frame.receiver().max_ack;
  return answers ? Passed() : Invalid();
}

// What the receiver expects next lies between what it has acknowledged and what the sender has sent: the number must be
// one of the two. A receiver that has not acknowledged anything may itself still be waiting for the answer to its SYN.
bool IsExact(const TcpFrame& frame) {
  const uint32_t seq = frame.segment.seq;
  if (seq == frame.sender().end) return true;
  if (frame.receiver_traits().acks) return seq == frame.receiver().max_ack;
  return !IsOpened(frame.connection.steps) && AcksSyn(frame);
}

}  // namespace

TcpStep MeetReset(const TcpFrame& frame) {
  switch (frame.flow.state) {
    case abi::kFlowStateNew:
      return Invalid();
    case abi::kFlowStateSynSent:
      return MeetEarlyReset(frame);
    case abi::kFlowStateTimeWait:  // RFC 1337
    case abi::kFlowStateClosed:
      return Passed();
  }
  if (IsExact(frame)) return Reset(frame);
  // An end that closes may have forgotten its numbers already (nf_conntrack); one that is never heard has none to
  // check.
  const bool closing = (frame.connection.steps & (kBothSides * kFinSent)) != 0;
  if ((closing || !frame.receiver_traits().known) && HasSoundNumbers(frame)) return Reset(frame);
  const uint32_t expected = frame.receiver_traits().acks ? frame.receiver().max_ack : frame.sender().end;
  const bool inside = !IsBefore(frame.segment.seq, expected) && !IsAfter(frame.segment.seq, frame.sender().max_end);
  return inside ? Passed(abi::kEventChallenge) : Invalid();
}

}  // namespace sluice
