// What the tracker remembers of a TCP connection between its frames. Zero for a new flow.
#pragma once

#include <array>
#include <cstdint>

#include "flow_state.h"

namespace sluice {

// One side, mostly as a sender. A field that has no meaning yet is zero.
struct TcpSide {
  uint32_t isn;         // of its SYN (TcpTraits::syn)
  uint32_t end;         // one more than the highest sequence number that it sent
  uint32_t max_end;     // how far the other side's window lets it send
  uint32_t max_window;  // the largest that it offered, scaled
  uint32_t max_ack;     // highest acknowledgement number that it sent (TcpTraits::acks)
  uint32_t gap_start;   // numbers below `end` that did not come by, or some between them: [gap_start, gap_end)
  uint32_t gap_end;
  uint32_t timed;        // the number or timestamp whose answer is waited for (TcpTraits::timing)
  uint32_t timed_at_us;  // when it came by, modulo 2^32
  uint32_t response_us;  // smoothed: from a segment of this side to the other side's answer; 0 if unknown
};

struct TcpTraits {
  uint16_t scale : 4;           // of its windows
  uint16_t known : 1;           // a valid segment of it was seen
  uint16_t syn : 1;             // its SYN, too
  uint16_t scales : 1;          // its SYN offered window scaling
  uint16_t acks : 1;            // it has acknowledged something
  uint16_t loose : 1;           // it may have sent more than was seen: it was picked up, or sends fragments
  uint16_t unacknowledged : 1;  // it has sent something that is not acknowledged
  uint16_t timing : 1;
  uint16_t timing_value : 1;  // `timed` is a timestamp, otherwise a sequence number
};

inline constexpr uint8_t kNoScale = 0xff;

struct TcpConnection {
  std::array<TcpSide, 2> sides;  // by direction
  std::array<TcpTraits, 2> traits;
  uint8_t steps;            // tcp_states.h
  uint8_t retransmissions;  // in a row, without any progress

  // A SYN that does not fit the connection, until its answer tells whether it begins a new one.
  uint8_t challenger;       // 0: there is none; otherwise its direction + 1
  uint8_t challenge_scale;  // kNoScale: it offered no window scaling
  uint32_t challenge_isn;
  uint16_t challenge_payload;
  uint16_t challenge_window;
};
static_assert(sizeof(TcpSide) == 40 && sizeof(TcpTraits) == 2);
static_assert(sizeof(TcpConnection) == sizeof(TcpTrack));

inline TcpConnection& ConnectionOf(FlowState& flow) {
  static_assert(offsetof(FlowState, tcp) % alignof(TcpConnection) == 0);
  return *reinterpret_cast<TcpConnection*>(flow.tcp.bytes);
}

}  // namespace sluice
