#include "match.h"

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

template <typename T>
bool TakesValue(const std::vector<T>& list, T value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

bool TakesAddress(const std::vector<Prefix>& list, uint8_t version, const uint8_t* address) {
  if (list.empty()) return true;
  return std::any_of(list.begin(), list.end(),
                     [&](const Prefix& prefix) { return prefix.version == version && Covers(prefix, address); });
}

bool TakesPort(const std::vector<PortRange>& list, uint16_t port) {
  return list.empty() || std::any_of(list.begin(), list.end(),
                                     [&](PortRange range) { return range.first <= port && port <= range.last; });
}

bool HasPorts(const Record& record) {
  constexpr uint8_t kTcp = 6, kUdp = 17, kSctp = 132;
  const uint8_t proto = record.ip_proto;
  return record.l4_offset != abi::kOffsetNone && (proto == kTcp || proto == kUdp || proto == kSctp);
}

bool TakesAddresses(const Match& match, const Record& record, const uint8_t* bytes) {
  if (match.sources.empty() && match.destinations.empty()) return true;
  const uint32_t size = record.ip_version == 6 ? 16 : 4;
  const uint32_t source = record.l3_offset + (record.ip_version == 6 ? 8u : 12u);
  if (record.ip_version == 0 || source + 2 * size > record.length) return false;
  return TakesAddress(match.sources, record.ip_version, bytes + source) &&
         TakesAddress(match.destinations, record.ip_version, bytes + source + size);
}

bool TakesPorts(const Match& match, const Record& record) {
  if (match.source_ports.empty() && match.destination_ports.empty()) return true;
  return HasPorts(record) && TakesPort(match.source_ports, record.source_port) &&
         TakesPort(match.destination_ports, record.destination_port);
}

bool TakesIp(const Match& match, const Record& record) {
  if (match.ip_protos.empty() && match.dscps.empty()) return true;
  return record.ip_version != 0 && TakesValue(match.ip_protos, record.ip_proto) &&
         TakesValue(match.dscps, static_cast<uint8_t>(record.traffic_class >> 2));
}

bool TakesLink(const Match& match, const Record& record) {
  constexpr uint16_t kVlanId = 0x0fff;
  if (!TakesValue(match.ether_types, record.ether_type)) return false;
  if (match.vlans.empty()) return true;
  return record.vlan_count > 0 && TakesValue(match.vlans, static_cast<uint16_t>(record.outer_tci & kVlanId));
}

}  // namespace

bool Covers(const Prefix& prefix, const uint8_t* address) {
  const int whole = prefix.length / 8;
  if (std::memcmp(prefix.address.data(), address, whole) != 0) return false;
  const int rest = prefix.length % 8;
  return rest == 0 || ((prefix.address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

bool Matches(const Match& match, const Record& record, const uint8_t* bytes) {
  if ((record.labels & match.labels) != match.labels) return false;
  return TakesLink(match, record) && TakesIp(match, record) && TakesPorts(match, record) &&
         TakesAddresses(match, record, bytes);
}

}  // namespace sluice
