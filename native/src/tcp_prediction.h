// Header prediction (Van Jacobson): on an open connection nearly every segment is the next one in order, acknowledges
// something that is under way or nothing new, and has no option but timestamps. Those need few of the tracker's
// questions.
#pragma once

#include "tcp_connection.h"
#include "tcp_options.h"
#include "tcp_round_trip.h"
#include "tcp_states.h"
#include "tcp_tracker.h"

namespace sluice {

inline bool IsPredicted(const FlowState& flow, const TcpConnection& connection, const TcpSegment& segment,
                        uint8_t from) {
  constexpr uint8_t kNoted = abi::kFlowFlagReplied | abi::kFlowFlagAssured;
  const TcpSide& sender = connection.sides[from];
  const TcpSide& receiver = connection.sides[from ^ 1];
  const TcpTraits sent = connection.traits[from];
  if (flow.state != abi::kFlowStateEstablished || (flow.flags & kNoted) != kNoted) return false;
  if (connection.steps != kSynSteps || connection.challenger != 0 || !sent.known || !sent.acks) return false;
  if ((segment.flags & ~kTcpPsh) != kTcpAck || segment.window == 0 || segment.seq != sender.end) return false;
  if (segment.options_bytes != 0 && !HasOnlyTimestamps(segment)) return false;
  if (IsAfter(segment.seq, sender.max_end) || receiver.gap_start != receiver.gap_end) return false;
  return segment.ack - sender.max_ack <= receiver.end - sender.max_ack;
}

// What the tracker makes of a predicted segment; the events.
inline uint32_t TakePredicted(FlowState& flow, TcpConnection& connection, const TcpSegment& segment, uint8_t from,
                              uint64_t now_ns) {
  TcpSide& sender = connection.sides[from];
  TcpSide& receiver = connection.sides[from ^ 1];
  TcpTraits& sent = connection.traits[from];
  TcpTraits& received = connection.traits[from ^ 1];

  if (received.timing && StopTiming(receiver, received, segment, now_ns)) flow.rtt_us = RoundTrip(connection);
  if (segment.ack == receiver.end) received.unacknowledged = 0;
  if (segment.payload != 0 || segment.ack != sender.max_ack) connection.retransmissions = 0;
  const uint32_t window = static_cast<uint32_t>(segment.window) << sent.scale;
  sender.max_ack = segment.ack;
  sender.max_window = std::max(sender.max_window, window);
  receiver.max_end = Later(receiver.max_end, segment.ack + window);
  if (segment.payload == 0) return 0;
  sender.end = segment.end;
  sent.unacknowledged = 1;
  if (!sent.timing) StartTiming(sender, sent, segment, now_ns);
  return abi::kEventData;
}

// TrackFrame without prediction: the same, only slower. For tests.
TrackResult TrackFrameUnpredicted(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes,
                                  uint64_t now_ns, const TrackerConfig& config, const TcpShifts& shifts = {});

}  // namespace sluice
