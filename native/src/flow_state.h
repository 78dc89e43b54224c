// One flow's shared record (nfs/sdk/ABI.md): the first half is read by functions, the second is the TCP tracker's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi.h"

namespace sluice {

// The TCP tracker's own, zero for a new flow (tcp_tracker.h says what it means).
struct TcpTrack {
  uint8_t bytes[abi::kFlowBytes - abi::kFlowPrivate];
};

struct FlowState {
  uint8_t state;
  uint8_t ip_proto;
  uint8_t ip_version;
  uint8_t flags;
  uint32_t labels;
  uint64_t start_ns;
  uint64_t last_ns;
  uint64_t deadline_ns;
  uint64_t packets[2];  // by direction: 0 from the first sender
  uint64_t octets[2];
  uint8_t tcp_flags[2];
  uint8_t end;
  uint8_t first_side;
  uint16_t zone;
  uint16_t vlan;
  uint16_t retransmissions[2];
  uint16_t out_of_order[2];
  uint16_t zero_windows[2];
  uint32_t rtt_us;
  uint32_t timeout_ms;
  uint32_t invalid;
  TcpTrack tcp;
};
static_assert(sizeof(FlowState) == abi::kFlowBytes);
static_assert(offsetof(FlowState, packets) == abi::kFlowPackets);
static_assert(offsetof(FlowState, first_side) == abi::kFlowFirstSide);
static_assert(offsetof(FlowState, rtt_us) == abi::kFlowRtt);
static_assert(offsetof(FlowState, tcp) == abi::kFlowPrivate);

}  // namespace sluice
