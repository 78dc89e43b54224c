// What the kernel knows of ways and neighbours, at one moment: made by a RouteMirror, read by lanes. Nothing in it ever
// changes but the marks of what is used.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "prefix_tree.h"

namespace sluice {

using MacAddress = std::array<uint8_t, 6>;

enum class RouteKind : uint8_t {
  kForward,      // to a next hop
  kLocal,        // to the kernel: an address of this machine, or one of its broadcast addresses
  kBlackhole,    // dropped in silence
  kUnreachable,  // dropped, and said to be unreachable
  kProhibit,     // dropped, and said to be forbidden
};

struct NextHop {
  int ifindex = 0;
  bool has_gateway = false;
  AddressBytes gateway{};  // of the family `gateway_version`, which may be 6 for an IPv4 route (RFC 5549)
  uint8_t gateway_version = 0;
  uint8_t weight = 1;  // of several: how often it is taken
};

struct Route {
  RouteKind kind = RouteKind::kForward;
  uint32_t mtu = 0;  // bytes from the IP header on; 0: the link's
  std::vector<NextHop> next_hops;
};

struct RouteTable {
  PrefixTree tree;
  std::vector<Route> routes;

  const Route* Find(const uint8_t* address) const {
    const uint32_t index = tree.Find(address);
    return index == PrefixTree::kNone ? nullptr : &routes[index];
  }
};

// A network device, with its addresses in the kernel's order: primary ones first.
struct Link {
  int ifindex = 0;
  MacAddress mac{};
  uint32_t mtu = 0;
  bool is_up = false;
  std::vector<AddressBytes> addresses4;
  std::vector<AddressBytes> addresses6;  // no link-local ones
};

struct Neighbour {
  int ifindex = 0;
  uint8_t version = 0;
  AddressBytes address{};
  MacAddress mac{};
};

// Neighbours whose link address is known: open addressing, half empty at least.
class NeighbourTable {
 public:
  NeighbourTable() : NeighbourTable(std::vector<Neighbour>()) {}
  explicit NeighbourTable(const std::vector<Neighbour>& neighbours);

  // Its link address, or null. Marks it as used.
  const MacAddress* Find(int ifindex, uint8_t version, const uint8_t* address) const;

  // Those that were found since this was called last; for the thread that made the table.
  std::vector<Neighbour> TakeUsed() const;

 private:
  struct Slot {
    Neighbour neighbour;  // ifindex 0: free
    mutable std::atomic<bool> is_used = false;
  };
  uint32_t PlaceOf(int ifindex, uint8_t version, const uint8_t* address) const;

  uint32_t mask_;
  std::unique_ptr<Slot[]> slots_;
};

struct Forwarding {
  uint64_t version = 0;  // grows
  std::shared_ptr<const RouteTable> routes4 = std::make_shared<RouteTable>();
  std::shared_ptr<const RouteTable> routes6 = std::make_shared<RouteTable>();
  std::shared_ptr<const NeighbourTable> neighbours = std::make_shared<NeighbourTable>();
  std::vector<Link> links;

  const Route* Find(uint8_t ip_version, const uint8_t* address) const {
    return (ip_version == 4 ? routes4 : routes6)->Find(address);
  }
  const Link* FindLink(int ifindex) const {
    for (const Link& link : links) {
      if (link.ifindex == ifindex) return &link;
    }
    return nullptr;
  }
};

inline uint32_t AddressLength(uint8_t ip_version) { return ip_version == 4 ? 4 : 16; }

}  // namespace sluice
