// How a lane's frames leave routed ports: by the kernel's routes, or to the kernel itself.
#include <algorithm>
#include <cstring>
#include <utility>

#include "ip_header.h"
#include "lane.h"
#include "link_header.h"
#include "parser.h"

namespace sluice {
namespace {

constexpr size_t kOriginalsCapacity = 64;

}  // namespace

void Lane::Follow(std::shared_ptr<RouteMirror> routes) {
  routes->Wake(wake_);
  router_ = std::make_unique<Router>(std::move(routes));
  originals_.resize(kOriginalsCapacity);
  RefreshRoutes();
}

void Lane::RefreshRoutes() {
  const bool is_same = router_->mirror().version() == router_->forwarding().version;
  if (is_same && !std::exchange(ports_changed_, false)) return;
  routed_ports_.clear();
  for (uint32_t port = 0; port < active_; ++port) {
    const int ifindex = ports_[port]->ifindex();
    // Ports without a device are numbered like the links of fixed routes.
    routed_ports_.push_back({ifindex > 0 ? ifindex : static_cast<int>(port) + 1,
                             port < program_->routed_ports.size() && program_->routed_ports[port]});
  }
  router_->Refresh(routed_ports_);
  routes_ = std::ranges::any_of(routed_ports_, &Router::RoutedPort::is_routed);
  if (routes_) TellOwnAddresses();
  DescribePorts();
  BeginAnswering();
}

// Changes of addresses are rare; of neighbours, they are not.
void Lane::TellOwnAddresses() {
  std::vector<AddressBytes> addresses;
  for (const Link& link : router_->forwarding().links) {
    addresses.insert(addresses.end(), link.addresses4.begin(), link.addresses4.end());
    addresses.insert(addresses.end(), link.addresses6.begin(), link.addresses6.end());
  }
  if (addresses == own_addresses_ && told_ports_ == active_) return;
  for (const auto& port : active()) port->SetOwnAddresses(addresses);
  own_addresses_ = std::move(addresses);
  told_ports_ = active_;
}

// What functions may know of ports.
void Lane::DescribePorts() {
  uint8_t* page = program_->shared->data() + layout::kSharedPortsOffset;
  for (uint32_t port = 0; port < routed_ports_.size(); ++port) {
    uint8_t* at = page + port * abi::kPortBytes;
    const Link* link = router_->LinkOf(port);
    std::memset(at, 0, abi::kPortBytes);
    if (link == nullptr) continue;
    const auto put = [at](uint32_t offset, uint32_t value) { std::memcpy(at + offset, &value, sizeof(value)); };
    put(abi::kPortFlags,
        (router_->is_routed(port) ? abi::kPortFlagRouted : 0u) | (link->is_up ? abi::kPortFlagUp : 0u));
    put(abi::kPortMtu, link->mtu);
    std::memcpy(at + abi::kPortMac, link->mac.data(), link->mac.size());
    if (!link->addresses4.empty()) put(abi::kPortAddress4, LoadBig32(link->addresses4.front().data()));
    if (!link->addresses6.empty()) std::memcpy(at + abi::kPortAddress6, link->addresses6.front().data(), 16);
  }
  FindSharedOwn();
}

// Of ports whose addresses hosts share, by the rule of now or of before: a flow that moves has the address by both.
void Lane::FindSharedOwn() {
  shared_own_.clear();
  if (!config_.handover || !router_) return;
  for (const LaneSpread& spread : {spread_now(), spread_before()}) {
    if (spread.rule == nullptr) continue;
    for (const uint8_t port : spread.rule->shared_of) {
      const Link* link = port < routed_ports_.size() ? router_->LinkOf(port) : nullptr;
      if (link == nullptr) continue;
      for (const AddressBytes& each : link->addresses4) shared_own_.push_back({each, 4, 32});
      for (const AddressBytes& each : link->addresses6) shared_own_.push_back({each, 6, 128});
    }
  }
  config_.handover->NoteOwn(shared_own_);
}

// ---- what errors quote ----

// Frames whose sender may have to hear of an error, before functions change them: almost none.
void Lane::NoteOriginals() {
  original_count_ = 0;
  const uint32_t mtu = router_->smallest_mtu();
  for (uint32_t index = 0; index < arrived_ && original_count_ < kOriginalsCapacity; ++index) {
    const Record& record = records_[index];
    if (record.malformed != 0 || record.ip_version == 0 || !router_->is_routed(record.port)) continue;
    const uint8_t* ip = BytesOf(record) + record.l3_offset;
    if (TtlOf(ip, record.ip_version) > 1 && record.wire_length - record.l3_offset <= mtu) continue;
    Original& original = originals_[original_count_++];
    original.record = static_cast<uint16_t>(index);
    original.length = static_cast<uint16_t>(std::min(record.length - record.l3_offset, kQuoteBytes6));
    std::memcpy(original.packet.data(), ip, original.length);
  }
}

// The packet as its sender knows it, from the IP header on; empty if a function has changed it since.
std::span<const uint8_t> Lane::PacketFor(uint32_t index) const {
  for (uint32_t i = 0; i < original_count_; ++i) {
    if (originals_[i].record == index) return {originals_[i].packet.data(), originals_[i].length};
  }
  if (changed_[index]) return {};
  const Record& record = records_[index];
  const Frame& frame = flights_[index].frame;
  return {config_.umem->data() + frame.offset + record.l3_offset, frame.length - record.l3_offset};
}

// To the packet's sender, back by the port where it came in.
void Lane::SendError(uint32_t index, IcmpError error, uint32_t value) {
  const Record& record = records_[index];
  const uint8_t* link = BytesOf(record);
  const std::span<const uint8_t> packet = PacketFor(index);
  AddressBytes source;
  if (!router_->is_routed(record.port) || flights_[index].frame.link != abi::kLinkEthernet) return;
  if (packet.empty() || !DeservesIcmpError(packet, record.ip_version)) return;
  if (!router_->AddressOf(record.port, record.ip_version, &source) || !error_limit_.Take(clock_ns_)) return;
  std::array<uint8_t, kEthernetHeaderBytes + kIcmpErrorBytesMax> frame;
  std::memcpy(frame.data(), link + 6, 6);
  std::memcpy(frame.data() + 6, router_->LinkOf(record.port)->mac.data(), 6);
  StoreBig16(frame.data() + 12, record.ip_version == 4 ? 0x0800 : 0x86dd);
  const uint32_t length =
      WriteIcmpError(packet, record.ip_version, error, value, source, frame.data() + kEthernetHeaderBytes);
  Emit(record.port, {frame.data(), kEthernetHeaderBytes + length});
}

// ---- the way out ----

void Lane::RouteFrames() {
  RetryWaiting();
  Queue queue;
  for (uint32_t port = 0; port < active_; ++port) {
    if (!router_->is_routed(port) || port_queues_[port].count == 0) continue;
    queue.count = std::exchange(port_queues_[port].count, 0);
    std::copy_n(port_queues_[port].records.begin(), queue.count, queue.records.begin());
    RouteQueue(queue, static_cast<int32_t>(port));
  }
  queue.count = std::exchange(route_queue_.count, 0);
  std::copy_n(route_queue_.records.begin(), queue.count, queue.records.begin());
  RouteQueue(queue, -1);
}

// A lane that follows no routes, such as a shadow's: that the frames leave is all that there is to say.
void Lane::LeaveByRoute() {
  for (uint32_t i = 0; i < route_queue_.count; ++i) {
    const uint32_t index = route_queue_.records[i];
    Count(layout::kLaneCountersTransmitted);
    Note(index, -1, layout::kOutcomeKindsForward, layout::kPortRoute, 0, 0, false);
    Free(index);
  }
  route_queue_.count = 0;
}

void Lane::RouteQueue(const Queue& queue, int32_t only_port) {
  for (uint32_t i = 0; i < queue.count; ++i) {
    const uint32_t index = queue.records[i];
    // What functions and the lane itself have built knows where it goes.
    if (index >= abi::kBatchCapacity && only_port >= 0) {
      Send(index, -1 - only_port, -1);
    } else if (test_frame_.under_way() && flights_[index].number == TestFrame::kNumber) {
      Queue alone{.count = 1};
      alone.records[0] = static_cast<uint16_t>(index);
      KeepTestFrame(only_port < 0 ? layout::kPortRoute : static_cast<uint32_t>(only_port), alone);
    } else {
      if (mirrored_) MirrorOutcome(index, -1, layout::kOutcomeKindsForward, OutcomePort(only_port), 0, 0, false);
      is_routed_[index] = true;
      RouteFrame(index, only_port);
    }
  }
}

void Lane::RouteFrame(uint32_t index, int32_t only_port) {
  Frame& frame = flights_[index].frame;
  const Router::Decision decision = router_->Decide(records_[index], &frame, config_.umem->data(), only_port);
  switch (decision.way) {
    case Router::Way::kPort:
      return Send(index, -1 - static_cast<Target>(decision.port), -1);
    case Router::Way::kHost:
      if (!ToKernel(index))
        return DropByEngine(index, -1, layout::kEngineDropReasonsHostUnavailable, layout::kOutcomeKindsDrop);
      Count(layout::kLaneCountersHost);
      Note(index, -1, layout::kOutcomeKindsHost, 0, layout::kEngineDropReasonsLocal, 0, true);
      return Free(index);
    case Router::Way::kWait:
      return WaitForNeighbour(index, decision, only_port);
    case Router::Way::kFragment:
      if (SendFragments(index, decision)) return;
      return DropByEngine(index, -1, layout::kEngineDropReasonsPacketTooBig, layout::kOutcomeKindsDrop);
    case Router::Way::kDrop:
      return DropUnrouted(index, decision);
  }
}

void Lane::DropUnrouted(uint32_t index, const Router::Decision& decision) {
  if (decision.error) SendError(index, *decision.error, decision.mtu);
  DropByEngine(index, -1, decision.reason, layout::kOutcomeKindsDrop);
}

// The kernel gets the frame as it is now. False: it does not take it.
bool Lane::ToKernel(uint32_t index) {
  const Record& record = records_[index];
  const Port& port = *ports_[record.port];
  if (port.reaches_host()) return true;
  const Frame& frame = flights_[index].frame;
  return inlet_ && port.ifindex() > 0 && frame.link == abi::kLinkEthernet &&
         inlet_->Put(port.ifindex(), {config_.umem->data() + frame.offset, frame.length});
}

// A record behind those of the batch, for a frame that is the lane's again; -1 if there is none left in this turn.
int32_t Lane::TakeRecord(const Frame& frame, uint64_t number, uint32_t port) {
  if (extra_ == layout::kRecordsCapacity - abi::kBatchCapacity) return -1;
  const uint32_t index = abi::kBatchCapacity + extra_++;
  flights_[index] = {frame, number, static_cast<uint8_t>(port)};
  changed_[index] = is_turned_[index] = false;
  is_routed_[index] = true;
  Record& record = records_[index];
  record = {};
  record.frame = config_.frames_address + frame.offset;
  record.length = frame.length;
  record.wire_length = frame.wire_length;
  record.port = static_cast<uint8_t>(port);
  record.link = frame.link;
  return static_cast<int32_t>(index);
}

// RFC 791, 3.2. All fragments leave, or none. The header's options are in the first fragment only.
bool Lane::SendFragments(uint32_t index, const Router::Decision& decision) {
  const Frame& whole = flights_[index].frame;
  const Record& record = records_[index];
  const uint8_t* ip = config_.umem->data() + whole.offset + record.l3_offset;
  const uint32_t header = Ipv4HeaderLength(ip);
  const uint32_t length = IpLength(ip, 4);
  if (length > whole.length - record.l3_offset || decision.mtu < header + 8) return false;
  const uint32_t room = (decision.mtu - header) & ~7u;
  const uint32_t count = (length - header + room - 1) / room;
  if (count > layout::kRecordsCapacity - abi::kBatchCapacity - extra_ || count > pool_.free()) return false;
  const uint16_t before = LoadBig16(ip + 6);
  for (uint32_t at = header; at < length; at += room) {
    const uint32_t bytes = std::min(room, length - at);
    uint32_t slot;
    pool_.Take({&slot, 1}, SlotOwner::kLane);
    Frame frame = {slot * config_.slot_bytes + kHeadroomBytes,
                   header + bytes,
                   header + bytes,
                   abi::kLinkEthernet,
                   false,
                   clock_ns_};
    uint8_t* part = config_.umem->data() + frame.offset;
    std::memcpy(part, ip, header);
    std::memcpy(part + header, ip + at, bytes);
    if (at > header) std::memset(part + kIpv4HeaderBytes, 1, header - kIpv4HeaderBytes);  // no operation
    StoreBig16(part + 2, header + bytes);
    const uint32_t more = at + bytes < length || (before & kMoreFragments) ? kMoreFragments : 0u;
    StoreBig16(part + 6, more | ((before & kFragmentOffsetMask) + (at - header) / 8));
    RenewIpv4Checksum(part);
    router_->WriteLinkHeader(&frame, 0, 4, decision.port, decision.mac, config_.umem->data());
    // The first one stands for the whole.
    const int32_t fragment = TakeRecord(frame, at == header ? flights_[index].number : 0, record.port);
    Send(static_cast<uint32_t>(fragment), -1 - static_cast<Target>(decision.port), -1);
  }
  Count(layout::kLaneCountersEmitted, count - 1);
  Free(index);
  return true;
}

// ---- neighbours that are not known yet ----

void Lane::WaitForNeighbour(uint32_t index, const Router::Decision& decision, int32_t only_port) {
  const Flight& flight = flights_[index];
  const bool waits = waiting_frames_.Add(
      {flight.frame, flight.number, records_[index].port}, {decision.neighbour, only_port, changed_[index]}, clock_ns_,
      [this](const WantedNextHop& wanted) { return router_->mirror().Resolve(wanted.neighbour); });
  if (!waits) DropByEngine(index, -1, layout::kEngineDropReasonsNeighbourUnknown, layout::kOutcomeKindsDrop);
}

void Lane::RetryWaiting() {
  if (waiting_frames_.empty()) return;
  const auto is_known = [this](const WantedNextHop& wanted) {
    const Neighbour& neighbour = wanted.neighbour;
    return router_->forwarding().neighbours->Find(neighbour.ifindex, neighbour.version, neighbour.address.data()) !=
           nullptr;
  };
  const auto let_go = [this](const HeldFragment& held, const WantedNextHop& wanted, bool known) {
    const int32_t index = TakeRecord(held.frame, held.number, held.port);
    if (index < 0) return false;
    const auto record = static_cast<uint32_t>(index);
    ParseFrame(BytesOf(records_[record]), records_[record]);
    changed_[record] = wanted.changed;
    if (known) {
      RouteFrame(record, wanted.only_port);
    } else {
      DropUnrouted(record, {.way = Router::Way::kDrop,
                            .reason = layout::kEngineDropReasonsNeighbourUnknown,
                            .error = IcmpError::kHostUnreachable});
    }
    return true;
  };
  waiting_frames_.Retry(clock_ns_, is_known, let_go,
                        [this](const WantedNextHop& wanted) { return router_->mirror().Resolve(wanted.neighbour); });
}

// The lane stops: nobody will hear of them any more.
void Lane::GiveWaitingUp() {
  const auto drop = [this](const HeldFragment& held) {
    const auto record = static_cast<uint32_t>(TakeRecord(held.frame, held.number, held.port));
    ParseFrame(BytesOf(records_[record]), records_[record]);
    DropByEngine(record, -1, layout::kEngineDropReasonsNeighbourUnknown, layout::kOutcomeKindsDrop);
  };
  extra_ = 0;
  waiting_frames_.Clear(drop);
  extra_ = 0;
  waiting_for_hosts_.Clear(drop);
}

}  // namespace sluice
