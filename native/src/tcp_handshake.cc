#include "tcp_handshake.h"

#include <algorithm>

#include "tcp_options.h"
#include "tcp_states.h"
#include "tcp_window.h"

namespace sluice {
namespace {

// RFC 7323, section 2.2: windows are scaled only if both sides offered it.
void SettleScales(TcpTraits& one, TcpTraits& other) {
  if (one.syn && other.syn && (!one.scales || !other.scales)) one.scale = other.scale = 0;
}

// The sender's numbers begin with this SYN, whatever was known of them before.
void OpenSide(const TcpFrame& frame) {
  const TcpSegment& segment = frame.segment;
  TcpSide& receiver = frame.receiver();
  frame.sender() = {.isn = segment.seq,
                    .end = segment.seq,
                    .max_end = segment.end + receiver.max_window,
                    .max_window = std::max<uint32_t>(segment.window, 1)};
  uint8_t scale = 0;
  const bool scales = ReadWindowScale(segment, &scale);
  frame.sender_traits() = {.scale = scale, .syn = 1, .scales = scales};
  SettleScales(frame.sender_traits(), frame.receiver_traits());
  if (frame.receiver_traits().known) receiver.max_end = Later(receiver.max_end, receiver.end + segment.window);
}

// The side that sent, or must have sent, a SYN that was not seen in this flow.
void OpenUnseen(const TcpFrame& frame, TcpSide side, TcpTraits traits) {
  side.max_end = side.end;
  traits.syn = 1;
  frame.receiver() = side;
  frame.receiver_traits() = traits;
  frame.connection.steps |= kSynSent << frame.to();
}

bool AcksSyn(const TcpFrame& frame) {
  const TcpSide& opener = frame.receiver();
  return frame.receiver_traits().syn && IsAfter(frame.segment.ack, opener.isn) &&
         !IsAfter(frame.segment.ack, opener.end);
}

bool RepeatsSyn(const TcpFrame& frame) { return frame.sender_traits().syn && frame.segment.seq == frame.sender().isn; }

bool IsAlone(uint8_t steps) {
  const uint8_t syns = steps & (kBothSides * kSynSent);
  return syns == kSynSent || syns == kSynSent << 1;
}

bool IsOpener(const TcpFrame& frame) { return frame.took(kSynSent, frame.from); }

// RFC 5961, section 4: the receiver answers such a SYN with an ACK of what it has, or it begins a new connection.
Handshake RememberChallenge(const TcpFrame& frame) {
  TcpConnection& connection = frame.connection;
  uint8_t scale;
  connection.challenger = frame.from + 1;
  connection.challenge_scale = ReadWindowScale(frame.segment, &scale) ? scale : kNoScale;
  connection.challenge_isn = frame.segment.seq;
  connection.challenge_payload = static_cast<uint16_t>(std::min(frame.segment.payload, 0xffffu));
  connection.challenge_window = frame.segment.window;
  return Handshake::kChallenge;
}

// Whether the acknowledgement is of the SYN that challenged, and perhaps of the data that came with it.
bool AnswersChallenge(const TcpFrame& frame, uint8_t challenger) {
  const TcpConnection& connection = frame.connection;
  const uint32_t acknowledged = frame.segment.ack - connection.challenge_isn - 1;
  return connection.challenger == challenger && acknowledged <= connection.challenge_payload;
}

void OpenChallenger(const TcpFrame& frame) {
  TcpConnection& connection = frame.connection;
  const bool scales = connection.challenge_scale != kNoScale;
  const uint8_t scale = scales ? connection.challenge_scale : 0;
  OpenUnseen(frame,
             {.isn = connection.challenge_isn,
              .end = connection.challenge_isn + 1 + connection.challenge_payload,
              .max_window = std::max<uint32_t>(connection.challenge_window, 1)},
             {.scale = scale, .known = 1, .scales = scales});
  connection.challenger = 0;
}

// A SYN/ACK says that there was a SYN with window scaling, if it has that option itself.
void OpenByAnswer(const TcpFrame& frame) {
  uint8_t scale;
  const bool scales = ReadWindowScale(frame.segment, &scale);
  const uint8_t largest = scales ? kWindowScaleLimit : 0;
  OpenUnseen(frame, {.isn = frame.segment.ack - 1, .end = frame.segment.ack, .max_window = 0xffff},
             {.scale = largest, .scales = scales, .loose = 1});
  frame.flow.flags |= abi::kFlowFlagMidstream;
}

Handshake BeginWithAnswer(const TcpFrame& frame) {
  const uint8_t challenger = frame.connection.challenger;
  if (challenger != 0 && AnswersChallenge(frame, challenger)) {
    OpenChallenger(frame);
  } else if (frame.config.midstream) {
    OpenByAnswer(frame);
  } else {
    return Handshake::kInvalid;
  }
  OpenSide(frame);
  return Handshake::kAdvance;
}

// A SYN/ACK for another SYN than the one that was seen: its receiver will reset what that number stands for.
Handshake RefuseAnswer(const TcpFrame& frame, Handshake how) {
  frame.sender().max_ack = frame.segment.ack;
  frame.sender_traits().acks = 1;
  return how;
}

Handshake MeetAnswer(const TcpFrame& frame) {
  if (IsOpener(frame)) return Handshake::kInvalid;
  if (AcksSyn(frame)) {
    OpenSide(frame);
    return Handshake::kAdvance;
  }
  if (AnswersChallenge(frame, frame.to() + 1)) return Handshake::kReuse;
  return RefuseAnswer(frame, Handshake::kInvalid);
}

// Nothing is known of the side, but where it stands.
void PickUpSide(TcpSide& side, TcpTraits& traits, uint32_t end, uint8_t scale) {
  side = {.end = end, .max_end = end, .max_window = 0xffffu << scale};
  traits = {.scale = scale, .loose = 1};
}

// The SYN's scale holds if the other side agreed to it; its windows may be larger then than they are taken for.
uint8_t UnseenScale(const TcpTraits& opener) { return opener.scales ? kWindowScaleLimit : 0; }

void PickUpBoth(const TcpFrame& frame) {
  PickUpSide(frame.sender(), frame.sender_traits(), frame.segment.seq, kWindowScaleLimit);
  PickUpSide(frame.receiver(), frame.receiver_traits(), frame.segment.ack, kWindowScaleLimit);
}

bool PickUpOpened(const TcpFrame& frame) {
  if (IsOpener(frame)) {
    TcpSide& opener = frame.sender();
    if (!IsAfter(frame.segment.seq, opener.isn) || IsAfter(frame.segment.seq, opener.end)) return false;
    opener.max_end = opener.end;
    PickUpSide(frame.receiver(), frame.receiver_traits(), frame.segment.ack, UnseenScale(frame.sender_traits()));
    return true;
  }
  if (!AcksSyn(frame)) return false;
  PickUpSide(frame.sender(), frame.sender_traits(), frame.segment.seq, UnseenScale(frame.receiver_traits()));
  frame.sender().max_end += kLargestWindow;
  return true;
}

}  // namespace

Handshake MeetSyn(const TcpFrame& frame) {
  const uint8_t state = frame.flow.state;
  if (state == abi::kFlowStateClosed) return Handshake::kReuse;
  if (state == abi::kFlowStateTimeWait) return RepeatsSyn(frame) ? Handshake::kAdvance : Handshake::kReuse;
  if (RepeatsSyn(frame)) return IsOpened(frame.connection.steps) ? Handshake::kChallenge : Handshake::kAdvance;
  const bool first = state == abi::kFlowStateNew;
  const bool other = state == abi::kFlowStateSynSent && !IsOpener(frame);
  // RFC 9293, section 3.4.1: an end that forgot its connection uses larger numbers for the next.
  const bool anew =
      state == abi::kFlowStateSynSent && IsOpener(frame) && IsAfter(frame.segment.seq, frame.sender().isn);
  if (!first && !other && !anew) return RememberChallenge(frame);
  frame.connection.challenger = 0;
  OpenSide(frame);
  return Handshake::kAdvance;
}

Handshake MeetSynAck(const TcpFrame& frame) {
  const uint8_t state = frame.flow.state;
  if (state == abi::kFlowStateNew) return BeginWithAnswer(frame);
  // An end may know better than to believe the reset of its SYN that was seen here.
  const bool unanswered = state == abi::kFlowStateClosed && IsAlone(frame.connection.steps);
  if (state == abi::kFlowStateSynSent || unanswered) return MeetAnswer(frame);
  if (RepeatsSyn(frame)) return Handshake::kAdvance;
  if (AnswersChallenge(frame, frame.to() + 1)) return Handshake::kReuse;
  const bool anew = state == abi::kFlowStateSynReceived && !frame.receiver_traits().acks && AcksSyn(frame) &&
                    IsAfter(frame.segment.seq, frame.sender().isn);
  if (!anew) return Handshake::kInvalid;
  OpenSide(frame);
  return Handshake::kAdvance;
}

Handshake PickUp(const TcpFrame& frame) {
  const bool first = frame.flow.state == abi::kFlowStateNew;
  const bool midstream = frame.config.midstream;
  if (first && midstream) {
    PickUpBoth(frame);
  } else if (first || !midstream || !PickUpOpened(frame)) {
    return first || IsOpener(frame) ? Handshake::kInvalid : RefuseAnswer(frame, Handshake::kChallenge);
  }
  frame.connection.steps = kSynSteps;
  frame.flow.state = abi::kFlowStateEstablished;
  frame.flow.flags |= abi::kFlowFlagMidstream;
  return Handshake::kAdvance;
}

}  // namespace sluice
