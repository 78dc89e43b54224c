// By what the flows of a chain are spread over its lanes, where that is more than the pair of addresses: all that a
// host has with others belongs to one lane, and so does all that comes for a port of an address that hosts share (NAT).
//
//   a host, and anybody else           the host's address
//   a shared address, and anybody      the port there: those of a lane stand in turn, so many at a time
//   the rest                           both addresses
#pragma once

#include <cstdint>
#include <vector>

#include "flow_key.h"
#include "match.h"

namespace sluice {

// Addresses that ports have at the moment.
using OwnAddresses = std::vector<Prefix>;

struct SpreadRule {
  std::vector<Prefix> hosts;  // less those that are shared
  std::vector<Prefix> shared;
  std::vector<uint8_t> shared_of;  // ports whose own addresses are shared, too
  uint32_t port_bits = 6;          // ports in turn are two to the power of this
};

bool operator==(const SpreadRule& one, const SpreadRule& other);

// Over how many lanes, and by what; without a rule by both addresses.
struct LaneSpread {
  const SpreadRule* rule = nullptr;
  uint32_t lanes = 1;
  const OwnAddresses* own = nullptr;  // of the ports that the rule names

  uint32_t LaneOf(const FlowKey& key) const { return NumberOf(key) % lanes; }
  // Never 0; modulo any number of lanes it is the key's lane.
  uint32_t NumberOf(const FlowKey& key) const;
  // The end of the key whose port decides, or -1.
  int SharedEnd(const FlowKey& key) const;
  // The lane of a packet that goes to that endpoint; -1 if its address is not shared.
  int32_t LaneOfShared(const uint8_t* address, uint8_t ip_version, uint16_t port) const;

 private:
  bool IsShared(const uint8_t* address, uint8_t ip_version) const;
  bool IsHost(const uint8_t* address, uint8_t ip_version) const;
};

// Symmetric, of the addresses alone: keys with the same hash are of the same lane, where no rule says otherwise.
uint32_t HashAddresses(const FlowKey& key);

}  // namespace sluice
