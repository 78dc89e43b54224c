#include "flow_key.h"

#include <cstring>

#include "parse_transport.h"
#include "wire.h"

namespace sluice {
namespace {

// By address as it lies in the header, then by port: any order would do that is the same for both directions.
bool ComesFirst(const uint8_t* a, uint16_t a_port, const uint8_t* b, uint16_t b_port) {
  const int order = std::memcmp(a, b, sizeof(Endpoints::source));
  return order != 0 ? order < 0 : a_port <= b_port;
}

// Faults up to the end of the IP headers: what follows them, and whose it is, cannot be told.
bool HasSoundIpHeader(const Record& record) {
  switch (record.malformed) {
    case abi::kMalformedIpShort:
    case abi::kMalformedIpVersion:
    case abi::kMalformedIpHeaderLength:
    case abi::kMalformedIpTotalLength:
    case abi::kMalformedExtensionShort:
    case abi::kMalformedExtensionOrder:
    case abi::kMalformedExtensionCount:
    case abi::kMalformedFragment:
      return false;
  }
  return record.ip_version != 0;
}

// Zero where the record has no ports: later fragments, cut headers, protocols without.
void ReadPorts(const Record& record, Endpoints& endpoints) {
  const bool icmp = record.ip_proto == kProtoIcmp || record.ip_proto == kProtoIcmpv6;
  endpoints.source_port = icmp ? record.destination_port : record.source_port;
  endpoints.destination_port = record.destination_port;
}

void ReadAddresses(const Record& record, const uint8_t* frame, Endpoints& endpoints) {
  const uint8_t* ip = frame + record.l3_offset;
  const bool v4 = record.ip_version == 4;
  const size_t bytes = v4 ? 4 : 16;
  const uint8_t* source = ip + (v4 ? 12 : 8);
  std::memcpy(endpoints.source, source, bytes);
  std::memcpy(endpoints.destination, source + bytes, bytes);
}

}  // namespace

FlowKey MakeFlowKey(const Endpoints& endpoints, uint8_t ip_proto, uint8_t ip_version, uint16_t zone, uint16_t vlan,
                    uint8_t* side) {
  const bool source_first =
      ComesFirst(endpoints.source, endpoints.source_port, endpoints.destination, endpoints.destination_port);
  FlowKey key = {};
  *side = source_first ? 0 : 1;
  std::memcpy(key.address[*side], endpoints.source, sizeof(endpoints.source));
  std::memcpy(key.address[1 - *side], endpoints.destination, sizeof(endpoints.destination));
  key.port[*side] = endpoints.source_port;
  key.port[1 - *side] = endpoints.destination_port;
  key.zone = zone;
  key.vlan = vlan;
  key.ip_proto = ip_proto;
  key.ip_version = ip_version;
  return key;
}

bool ReadFlowKey(const Record& record, const uint8_t* frame, uint16_t zone, FlowKey* key, uint8_t* side) {
  if (!HasSoundIpHeader(record)) return false;
  Endpoints endpoints = {};
  ReadAddresses(record, frame, endpoints);
  ReadPorts(record, endpoints);
  const uint16_t vlan = record.vlan_count == 0 ? 0 : record.outer_tci & 0x0fff;
  *key = MakeFlowKey(endpoints, record.ip_proto, record.ip_version, zone, vlan, side);
  return true;
}

}  // namespace sluice
