// Sequence windows as a bystander can know them: Guido van Rooij, "Real Stateful TCP Packet Filtering in IP Filter".
//
//              receiver.max_ack         sender.end     sender.max_end
//   ───────┼──────────┼───────────────────┼────────────────┼────────▶ sequence numbers of the sender
//    `room`│   acknowledged     in flight │  may be sent   │
//          └──── sent again, or late ─────┘
//
// A segment is in the window if it begins no later than `max_end` and ends no earlier than `room` before `end`; its
// acknowledgement goes no further than `max_end`, as what was sent may have been lost before it came here, and is no
// older than `room`.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tcp_connection.h"
#include "tcp_frame.h"
#include "tcp_options.h"
#include "tcp_states.h"

namespace sluice {

// A window may be this large where its scale is unknown (RFC 7323, section 2.3).
inline constexpr uint32_t kLargestWindow = 1u << 30;

// RFC 5961, section 5.2: what is in flight, and once more the window, is the oldest that an end may still refer to.
// nf_conntrack's floor, for acknowledgements that overtake each other while windows are small.
inline uint32_t RoomOf(const TcpSide& receiver) {
  constexpr uint32_t kLeast = 66000;
  return std::min(std::max(receiver.max_window, kLeast) * 2, kLargestWindow);
}

inline bool HasSoundNumbers(const TcpFrame& frame) {
  const TcpSide& sender = frame.sender();
  return !IsAfter(frame.segment.seq, sender.max_end) &&
         !IsBefore(frame.segment.end, sender.end - RoomOf(frame.receiver()));
}

inline bool HasSoundAck(const TcpFrame& frame) {
  const TcpSide& receiver = frame.receiver();
  const bool may_have_sent = IsOpened(frame.connection.steps) || frame.receiver_traits().loose;
  const uint32_t limit = may_have_sent ? Later(receiver.end, receiver.max_end) : receiver.end;
  return !IsAfter(frame.segment.ack, limit) && !IsBefore(frame.segment.ack, receiver.end - RoomOf(frame.sender()));
}

// The window that the segment offers, in bytes; that of a SYN is never scaled (RFC 7323, section 2.2).
inline uint32_t WindowOf(const TcpFrame& frame) {
  const uint32_t window = frame.segment.window;
  return frame.segment.has(kTcpSyn) ? window : window << frame.sender_traits().scale;
}

// What the sender has sent.
inline void NoteSent(const TcpFrame& frame) {
  TcpSide& sender = frame.sender();
  TcpTraits& traits = frame.sender_traits();
  traits.known = 1;
  if (IsAfter(frame.segment.end, sender.end)) {
    sender.end = frame.segment.end;
    traits.unacknowledged = 1;
  }
  // Picked up, and nobody is heard who could say how far it may go.
  const TcpTraits& peer = frame.receiver_traits();
  if (peer.loose && !peer.known) sender.max_end = Later(sender.max_end, sender.end + kLargestWindow);
}

// What the segment says of the other direction: acknowledged numbers, and a window from there on.
inline void NoteAck(const TcpFrame& frame) {
  const TcpSegment& segment = frame.segment;
  TcpSide& sender = frame.sender();
  TcpSide& receiver = frame.receiver();
  TcpTraits& traits = frame.receiver_traits();

  if (IsAfter(segment.ack, receiver.end)) receiver.end = segment.ack;
  if (!IsBefore(segment.ack, receiver.end)) traits.unacknowledged = 0;
  sender.max_ack = frame.sender_traits().acks ? Later(sender.max_ack, segment.ack) : segment.ack;
  frame.sender_traits().acks = 1;

  const bool may_sack = segment.options_bytes != 0 && !HasOnlyTimestamps(segment);
  const uint32_t edge = may_sack ? ReadSackEdge(segment, receiver.end) : segment.ack;
  const uint32_t window = WindowOf(frame);
  sender.max_window = std::max(sender.max_window, std::max(window + (edge - segment.ack), 1u));
  receiver.max_end = Later(receiver.max_end, edge + std::max(window, 1u));  // a closed window is probed with one byte

  if (receiver.gap_start != receiver.gap_end && IsAfter(segment.ack, receiver.gap_start)) {
    receiver.gap_start = IsBefore(segment.ack, receiver.gap_end) ? segment.ack : receiver.gap_end;
  }
}

}  // namespace sluice
