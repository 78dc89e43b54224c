#include "router.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ip_header.h"
#include "link_header.h"

namespace sluice {
namespace {

constexpr uint16_t kEtherTypeIpv4 = 0x0800, kEtherTypeIpv6 = 0x86dd;

Router::Decision Dropped(uint32_t reason, std::optional<IcmpError> error = std::nullopt) {
  return {.way = Router::Way::kDrop, .reason = reason, .error = error};
}

// What a router must not forward (RFC 1812, 5.2.2): the parser has seen all but the checksum.
bool IsSound(const Record& record, const uint8_t* ip) {
  if (record.malformed != 0 || (record.ip_version != 4 && record.ip_version != 6)) return false;
  return record.ip_version == 6 || IsIpv4HeaderIntact(ip);
}

}  // namespace

bool Router::Refresh(std::span<const RoutedPort> ports) {
  const bool alike = std::ranges::equal(ports, ports_, [](const RoutedPort& a, const RoutedPort& b) {
    return a.ifindex == b.ifindex && a.is_routed == b.is_routed;
  });
  if (alike && mirror_->version() == now_->version) return false;
  now_ = mirror_->current();
  ports_.assign(ports.begin(), ports.end());
  smallest_mtu_ = UINT32_MAX;
  for (const RoutedPort& port : ports_) {
    const Link* link = port.is_routed ? now_->FindLink(port.ifindex) : nullptr;
    if (link) smallest_mtu_ = std::min(smallest_mtu_, link->mtu);
  }
  for (const auto* table : {now_->routes4.get(), now_->routes6.get()}) {
    for (const Route& route : table->routes) {
      if (route.mtu != 0) smallest_mtu_ = std::min(smallest_mtu_, route.mtu);
    }
  }
  return true;
}

const Link* Router::LinkOf(uint32_t port) const {
  return port < ports_.size() ? now_->FindLink(ports_[port].ifindex) : nullptr;
}

int32_t Router::PortOf(int ifindex) const {
  for (uint32_t port = 0; port < ports_.size(); ++port) {
    if (ports_[port].is_routed && ports_[port].ifindex == ifindex) return static_cast<int32_t>(port);
  }
  return -1;
}

bool Router::AddressOf(uint32_t port, uint8_t version, AddressBytes* address) const {
  const Link* link = LinkOf(port);
  if (link == nullptr) return false;
  const auto& addresses = version == 4 ? link->addresses4 : link->addresses6;
  if (addresses.empty()) return false;
  *address = addresses.front();
  return true;
}

// Of several, always the same one for a flow.
const NextHop* Router::ChooseNextHop(const Route& route, uint32_t hash, int only_ifindex) const {
  uint32_t weights = 0;
  const auto counts = [&](const NextHop& next_hop) { return only_ifindex == 0 || next_hop.ifindex == only_ifindex; };
  for (const NextHop& next_hop : route.next_hops) weights += counts(next_hop) ? next_hop.weight : 0;
  if (weights == 0) return nullptr;
  uint32_t at = static_cast<uint32_t>((static_cast<uint64_t>(hash) * weights) >> 32);
  for (const NextHop& next_hop : route.next_hops) {
    if (!counts(next_hop)) continue;
    if (at < next_hop.weight) return &next_hop;
    at -= next_hop.weight;
  }
  return nullptr;
}

Router::Decision Router::Decide(const Record& record, Frame* frame, uint8_t* umem, int32_t only_port) const {
  const uint8_t* ip = umem + frame->offset + record.l3_offset;
  if (!IsSound(record, ip)) return Dropped(layout::kEngineDropReasonsBadIpHeader);
  const uint8_t version = record.ip_version;
  const Route* route = now_->Find(version, DestinationOf(ip, version));
  if (route == nullptr) return Dropped(layout::kEngineDropReasonsNoRoute, IcmpError::kNoRoute);
  switch (route->kind) {
    case RouteKind::kForward:
      break;
    case RouteKind::kLocal:
      return {.way = Way::kHost};
    case RouteKind::kBlackhole:
      return Dropped(layout::kEngineDropReasonsNoRoute);
    case RouteKind::kUnreachable:
      return Dropped(layout::kEngineDropReasonsNoRoute, IcmpError::kHostUnreachable);
    case RouteKind::kProhibit:
      return Dropped(layout::kEngineDropReasonsNoRoute, IcmpError::kProhibited);
  }
  const int only_ifindex = only_port < 0 ? 0 : ports_[static_cast<uint32_t>(only_port)].ifindex;
  const NextHop* next_hop = ChooseNextHop(*route, record.hash, only_ifindex);
  if (next_hop == nullptr) return Dropped(layout::kEngineDropReasonsNoRoute, IcmpError::kNoRoute);
  return Send(record, frame, umem, *route, *next_hop);
}

Router::Decision Router::Send(const Record& record, Frame* frame, uint8_t* umem, const Route& route,
                              const NextHop& next_hop) const {
  const int32_t port = PortOf(next_hop.ifindex);
  // The way leads to a device that is not the chain's: the kernel knows what to do there.
  if (port < 0) return {.way = Way::kHost};
  const uint8_t version = record.ip_version;
  uint8_t* ip = umem + frame->offset + record.l3_offset;
  if (TtlOf(ip, version) <= 1) return Dropped(layout::kEngineDropReasonsTtlExceeded, IcmpError::kTtlExceeded);
  const Link* link = now_->FindLink(next_hop.ifindex);
  if (link == nullptr || !link->is_up) return Dropped(layout::kEngineDropReasonsNoRoute, IcmpError::kHostUnreachable);
  Decision decision{.way = Way::kPort, .port = static_cast<uint32_t>(port)};
  decision.mtu = route.mtu == 0 ? link->mtu : std::min(route.mtu, link->mtu);
  const uint32_t length = IpLength(ip, version);
  const bool is_long = length > decision.mtu;
  if (is_long && (version == 6 || (LoadBig16(ip + 6) & kDontFragment))) {
    Decision dropped = Dropped(layout::kEngineDropReasonsPacketTooBig, IcmpError::kPacketTooBig);
    dropped.mtu = decision.mtu;
    return dropped;
  }
  decision.neighbour = {.ifindex = next_hop.ifindex, .version = version};
  if (next_hop.has_gateway) {
    decision.neighbour.version = next_hop.gateway_version;
    decision.neighbour.address = next_hop.gateway;
  } else {
    std::memcpy(decision.neighbour.address.data(), DestinationOf(ip, version), AddressLength(version));
  }
  const MacAddress* mac =
      now_->neighbours->Find(next_hop.ifindex, decision.neighbour.version, decision.neighbour.address.data());
  if (mac == nullptr) {
    decision.way = Way::kWait;
    return decision;
  }
  decision.mac = *mac;
  DecrementTtl(ip, version);
  if (is_long) {
    decision.way = Way::kFragment;
    return decision;
  }
  // What follows the packet is the link's padding.
  frame->wire_length = std::min(frame->wire_length, record.l3_offset + length);
  frame->length = std::min(frame->length, record.l3_offset + length);
  WriteLinkHeader(frame, record.l3_offset, version, decision.port, *mac, umem);
  return decision;
}

void Router::WriteLinkHeader(Frame* frame, uint32_t header, uint8_t version, uint32_t port, const MacAddress& to,
                             uint8_t* umem) const {
  const uint32_t start = frame->offset + header - kEthernetHeaderBytes;
  const uint32_t cut = frame->wire_length > frame->length ? frame->wire_length - frame->length : 0;
  frame->length = frame->length + frame->offset - start;
  frame->offset = start;
  frame->wire_length = frame->length + cut;
  frame->link = abi::kLinkEthernet;
  uint8_t* at = umem + start;
  std::memcpy(at, to.data(), to.size());
  std::memcpy(at + 6, LinkOf(port)->mac.data(), 6);
  StoreBig16(at + 12, version == 4 ? kEtherTypeIpv4 : kEtherTypeIpv6);
}

bool ErrorLimit::Take(uint64_t now_ns) {
  const uint64_t due = (now_ns - refilled_ns_) * kPerSecond / 1'000'000'000;
  if (refilled_ns_ == 0 || now_ns - refilled_ns_ > 1'000'000'000) {
    tokens_ = kBurst;
    refilled_ns_ = now_ns;
  } else if (due > 0) {
    tokens_ = std::min(kBurst, tokens_ + due);
    refilled_ns_ = now_ns;
  }
  if (tokens_ == 0) return false;
  --tokens_;
  return true;
}

}  // namespace sluice
