// What tells one flow from another: zone, VLAN, protocol and the two endpoints, in an order of their own, so that both
// directions have the same key.
#pragma once

#include <cstdint>

#include "record.h"

namespace sluice {

// All bytes are defined: keys are compared and hashed as memory. Addresses in network order, ports in host order.
struct FlowKey {
  uint8_t address[2][16];  // IPv4 in the first 4 bytes, the rest zero; the lower endpoint first
  uint16_t port[2];        // ICMP echo: the identifier, twice; no ports: 0
  uint16_t zone;
  uint16_t vlan;  // id of the outermost tag, 0 for none
  uint8_t ip_proto;
  uint8_t ip_version;
  uint8_t reserved[2];
  uint32_t quoted;  // of an ICMP error: LaneSpread::NumberOf of the packet that it quotes (spread_rule.h); else 0
};
static_assert(sizeof(FlowKey) == 48);

// Endpoints as a frame has them.
struct Endpoints {
  uint8_t source[16];
  uint8_t destination[16];
  uint16_t source_port;
  uint16_t destination_port;
};

// `side`: the index in the key of the endpoint that sends.
FlowKey MakeFlowKey(const Endpoints& endpoints, uint8_t ip_proto, uint8_t ip_version, uint16_t zone, uint16_t vlan,
                    uint8_t* side);

// False for frames that belong to no flow: no sound IP header. Later fragments have no ports: see fragment_table.h.
bool ReadFlowKey(const Record& record, const uint8_t* frame, uint16_t zone, FlowKey* key, uint8_t* side);

}  // namespace sluice
