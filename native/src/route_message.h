// Reads what the kernel says of links, addresses, routes and neighbours over netlink (rtnetlink(7)).
#pragma once

#include <libmnl/libmnl.h>

#include "forwarding.h"

namespace sluice {

struct RouteMessage {
  uint8_t ip_version;
  AddressBytes destination{};
  uint8_t length = 0;  // of the prefix, bits
  bool is_local_table = false;
  uint32_t priority = 0;  // the lower one counts
  Route route;
};

struct LinkAddress {
  int ifindex;
  uint8_t ip_version;
  AddressBytes address{};
};

// Each false for messages of other kinds, and for what forwarding has nothing to do with: other tables than main and
// local, types of service, groups, IPv6 link-local addresses and prefixes.
bool ReadRoute(const nlmsghdr* message, RouteMessage* route);
bool ReadLink(const nlmsghdr* message, Link* link);
bool ReadAddress(const nlmsghdr* message, LinkAddress* address);
// `is_known`: frames can be sent to it.
bool ReadNeighbour(const nlmsghdr* message, Neighbour* neighbour, bool* is_known);

// A request that has the kernel find the neighbour's link address, or make sure that it is still there.
void WriteProbe(nlmsghdr* message, const Neighbour& neighbour);

}  // namespace sluice
