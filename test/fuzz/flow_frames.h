// Frames for flow_fuzzer, made from templates, so that most are sound, and then damaged.
#pragma once

#include <cstdint>
#include <vector>

#include "flow_key.h"

namespace sluice {

struct FlowStep {
  uint8_t kind;      // see Run
  uint8_t ends;      // IP version, hosts, ports
  uint8_t flags;     // of TCP; ICMP: type
  int8_t seq, ack;   // ICMP: identifier
  uint8_t payload;   // bytes of it; ICMP errors: what they quote
  uint8_t fragment;  // none, or which piece of which packet
  uint8_t place;     // port, VLAN
  uint8_t time;      // how far the clock moves before
  uint8_t damage_at, damage;
  uint8_t cut;  // bytes that the capture cut off, if above 0xf0; see the requests
};
static_assert(sizeof(FlowStep) == 12);

uint32_t VersionOf(const FlowStep& step);
Endpoints EndpointsOf(const FlowStep& step);

// With its Ethernet header.
std::vector<uint8_t> FrameOf(const FlowStep& step);

}  // namespace sluice
