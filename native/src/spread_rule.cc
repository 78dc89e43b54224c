#include "spread_rule.h"

#include <algorithm>

#include "tuple_hash.h"

namespace sluice {
namespace {

// Of all numbers of lanes up to 16.
constexpr uint32_t kMultipleOfAll = 720720;
constexpr uint32_t kMultiples = 5800;  // so many are less than 2^32 by more than a port

uint64_t HashAddress(const uint8_t* address, uint8_t ip_version) {
  return ip_version == 6 ? HashEndpoint6(address, 0) : HashEndpoint4(address, 0);
}

bool IsAmong(const std::vector<Prefix>& prefixes, const uint8_t* address, uint8_t ip_version) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const Prefix& prefix) { return prefix.version == ip_version && Covers(prefix, address); });
}

bool IsSame(const std::vector<Prefix>& one, const std::vector<Prefix>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](const Prefix& a, const Prefix& b) {
    return a.version == b.version && a.length == b.length && a.address == b.address;
  });
}

}  // namespace

uint32_t HashAddresses(const FlowKey& key) {
  return HashPair(HashAddress(key.address[0], key.ip_version), HashAddress(key.address[1], key.ip_version), 0);
}

bool operator==(const SpreadRule& one, const SpreadRule& other) {
  return one.port_bits == other.port_bits && one.shared_of == other.shared_of && IsSame(one.hosts, other.hosts) &&
         IsSame(one.shared, other.shared);
}

bool LaneSpread::IsShared(const uint8_t* address, uint8_t ip_version) const {
  return IsAmong(rule->shared, address, ip_version) || (own != nullptr && IsAmong(*own, address, ip_version));
}

bool LaneSpread::IsHost(const uint8_t* address, uint8_t ip_version) const {
  return IsAmong(rule->hosts, address, ip_version) && !IsShared(address, ip_version);
}

// Those of ports differ by their addresses, too, which no number of lanes sees.
uint32_t LaneSpread::NumberOf(const FlowKey& key) const {
  uint32_t number = 0;
  const bool first = rule != nullptr && IsHost(key.address[0], key.ip_version);
  const bool second = rule != nullptr && IsHost(key.address[1], key.ip_version);
  const int end = first || second ? -1 : SharedEnd(key);
  if (first != second) {
    number = HashPair(HashAddress(key.address[first ? 0 : 1], key.ip_version), 0, 0);
  } else if (end >= 0) {
    number = HashAddresses(key) % kMultiples * kMultipleOfAll + (key.port[end] >> rule->port_bits);
  } else {
    number = HashAddresses(key);
  }
  return number == 0 ? kMultipleOfAll : number;
}

int LaneSpread::SharedEnd(const FlowKey& key) const {
  if (rule == nullptr) return -1;
  const bool first = IsShared(key.address[0], key.ip_version);
  const bool second = IsShared(key.address[1], key.ip_version);
  if (first == second || IsHost(key.address[first ? 1 : 0], key.ip_version)) return -1;
  return first ? 0 : 1;
}

int32_t LaneSpread::LaneOfShared(const uint8_t* address, uint8_t ip_version, uint16_t port) const {
  if (rule == nullptr || !IsShared(address, ip_version)) return -1;
  return static_cast<int32_t>((static_cast<uint32_t>(port) >> rule->port_bits) % lanes);
}

}  // namespace sluice
