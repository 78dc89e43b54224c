// A lane's way out by the kernel's routes (RFC 1812, RFC 4861): where a packet goes next, and its header for there.
// Used by the lane's thread; what it knows changes only between two turns.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "forwarding.h"
#include "icmp_error.h"
#include "layout.h"
#include "port.h"
#include "record.h"
#include "route_mirror.h"

namespace sluice {

class Router {
 public:
  enum class Way : uint8_t {
    kPort,      // its link header is written, its time to live decremented
    kHost,      // to the kernel, as it is
    kWait,      // until the neighbour's link address is known
    kFragment,  // to the port, but too long for it: `mtu`
    kDrop,
  };
  struct Decision {
    Way way;
    uint32_t port = 0;    // out
    uint32_t reason = 0;  // layout::kEngineDropReasons*, of a drop
    uint32_t mtu = 0;
    std::optional<IcmpError> error;  // that the sender is owed
    Neighbour neighbour;             // that is waited for
    MacAddress mac{};                // of the next hop
  };

  // A port as the router sees it.
  struct RoutedPort {
    int ifindex = 0;
    bool is_routed = false;
  };

  explicit Router(std::shared_ptr<RouteMirror> mirror) : mirror_(std::move(mirror)) {}

  RouteMirror& mirror() { return *mirror_; }
  // Takes over what is known by now; true if that is other than before. `ports` by index.
  bool Refresh(std::span<const RoutedPort> ports);
  bool is_routed(uint32_t port) const { return port < ports_.size() && ports_[port].is_routed; }
  const Link* LinkOf(uint32_t port) const;
  const Forwarding& forwarding() const { return *now_; }
  // No packet up to this length, from the IP header on, is too long for any routed port.
  uint32_t smallest_mtu() const { return smallest_mtu_; }

  // `only_port`: only routes that leave there, or -1 for all. Changes the frame only where it says kPort.
  Decision Decide(const Record& record, Frame* frame, uint8_t* umem, int32_t only_port) const;

  // Makes the frame's link header, which ends where `frame->offset + header` does, one for the port and next hop.
  void WriteLinkHeader(Frame* frame, uint32_t header, uint8_t version, uint32_t port, const MacAddress& to,
                       uint8_t* umem) const;

  // The address that errors to senders on that port come from; false if it has none of that family.
  bool AddressOf(uint32_t port, uint8_t version, AddressBytes* address) const;

 private:
  const NextHop* ChooseNextHop(const Route& route, uint32_t hash, int only_ifindex) const;
  Decision Send(const Record& record, Frame* frame, uint8_t* umem, const Route& route, const NextHop& next_hop) const;
  int32_t PortOf(int ifindex) const;

  std::shared_ptr<RouteMirror> mirror_;
  std::shared_ptr<const Forwarding> now_ = std::make_shared<Forwarding>();
  std::vector<RoutedPort> ports_;
  uint32_t smallest_mtu_ = UINT32_MAX;
};

// A token bucket for all errors of a lane.
class ErrorLimit {
 public:
  bool Take(uint64_t now_ns);

 private:
  static constexpr uint64_t kPerSecond = 1000;
  static constexpr uint64_t kBurst = 50;
  uint64_t tokens_ = kBurst;
  uint64_t refilled_ns_ = 0;
};

}  // namespace sluice
