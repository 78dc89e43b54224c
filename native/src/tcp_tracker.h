// The TCP connection of a flow as a bystander sees it (RFC 9293, RFC 5961, RFC 7323; timeouts are nf_conntrack's).
#pragma once

#include <array>
#include <cstdint>

#include "flow_state.h"
#include "record.h"
#include "tcp_segment.h"

namespace sluice {

// Seconds per state, indexed by abi::kFlowState*; UDP, ICMP and others use NEW and ESTABLISHED. tcp[NEW] is for flows
// of which nothing but invalid frames was seen.
struct FlowTimeouts {
  std::array<uint32_t, 16> tcp;
  std::array<uint32_t, 4> udp;
  std::array<uint32_t, 4> icmp;
  std::array<uint32_t, 16> sctp;
  std::array<uint32_t, 4> other;
  uint32_t tcp_unacknowledged;   // at the most, while data is in flight that nobody acknowledges, or a window is zero
  uint32_t tcp_retransmissions;  // so many in a row shorten the timeout to tcp_unacknowledged, too
};
FlowTimeouts DefaultFlowTimeouts();

struct TrackerConfig {
  FlowTimeouts timeouts;
  bool midstream = true;    // pick up connections without their handshake
  bool be_liberal = false;  // windows are not checked; resets are
};

struct TrackResult {
  uint32_t events;       // abi::kEvent* bits of this frame
  uint64_t deadline_ns;  // as it was, if the frame is invalid or only challenges
  bool reuse;            // a new connection begins on these ports: end the flow, insert a new one, track again
};

// Updates state, counters and flags of `flow` for one sound or malformed frame of it (packets, octets and last_ns are
// the caller's). `direction` as in FlowHit, `bytes` the frame. Handles every IP protocol. A flow is new while its
// deadline_ns is 0; the caller has set what identifies it (ip_proto, ip_version), and the rest is zero but for `state`,
// which may be NEW already. With `reuse` nothing was changed. Each side's numbers are kept as it sends them: `shifts`
// say what acknowledgements of them have to be turned back by.
TrackResult TrackFrame(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                       const TrackerConfig& config, const TcpShifts& shifts = {});

// What FlowState::tcp of the new flow begins with after `reuse`: if the frame is a SYN/ACK, what is known of the SYN
// that it answers, which was seen while `ended` still lived. Without it that side's window scale is unknown.
TcpTrack TrackOfSuccessor(const FlowState& ended);

}  // namespace sluice
