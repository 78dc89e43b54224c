// Ports that answer for addresses of others (proxy ARP, RFC 1027; proxy neighbour discovery, RFC 4861, 7.2.8), and the
// way of frames that come because of it: to the host that has the destination by then.
#include <algorithm>
#include <cstring>
#include <utility>

#include "ip_header.h"
#include "lane.h"
#include "link_header.h"
#include "neighbour_message.h"
#include "parser.h"

namespace sluice {
namespace {

constexpr uint64_t kMacMask = 0xffffffffffff;
// More tags than these tell no hosts apart.
constexpr uint32_t kTagsMax = 2;

// As the first bytes of a frame, read at once.
uint64_t WordOf(const MacAddress& mac) {
  uint64_t word = 0;
  std::memcpy(&word, mac.data(), mac.size());
  return word;
}

MacAddress MacOf(uint64_t word) {
  MacAddress mac;
  std::memcpy(mac.data(), &word, mac.size());
  return mac;
}

// For a port that has no device: locally administered, and always the same.
MacAddress MacWithoutDevice(uint32_t port) { return {0x02, 0x53, 0x4c, 0x00, 0x00, static_cast<uint8_t>(port)}; }

bool HasAddresses(const Record& record) {
  if (record.link != abi::kLinkEthernet || record.ip_version == 0 || record.l3_offset == abi::kOffsetNone) return false;
  return record.length >= record.l3_offset + (record.ip_version == 4 ? kIpv4HeaderBytes : kIpv6HeaderBytes);
}

// One host's, that is: neither a group's nor everybody's, nor nobody's.
bool IsOfOneHost(const AddressBytes& address, uint8_t version) {
  if (version == 4) return address[0] != 0 && address[0] != 127 && address[0] < 224;
  return address[0] != 0xff && address != AddressBytes{};
}

HostKey KeyOf(const AddressBytes& address, uint8_t version, const Record& record, uint32_t port) {
  HostKey key{.address = address, .version = version, .port = static_cast<uint8_t>(port), .tags = record.vlan_count};
  if (key.tags > 0) key.outer_id = record.outer_tci & 0x0fff;
  if (key.tags > 1) key.inner_id = record.inner_tci & 0x0fff;
  return key;
}

AddressBytes ReadAddress(const uint8_t* at, uint8_t version) {
  AddressBytes address{};
  std::memcpy(address.data(), at, AddressLength(version));
  return address;
}

}  // namespace

void Lane::BeginAnswering() {
  const auto answers = [&](uint32_t port) {
    return port < program_->answers.size() && !program_->answers[port].empty();
  };
  answers_ = false;
  answering_macs_.clear();
  for (uint32_t port = 0; port < active_; ++port) {
    const Link* link = router_ ? router_->LinkOf(port) : nullptr;
    MacAddress mac = MacWithoutDevice(port);
    if (link != nullptr && link->mac != MacAddress{}) mac = link->mac;
    if (const MacAddress* own = ports_[port]->link_address()) mac = *own;
    port_macs_[port].store(WordOf(mac), std::memory_order_relaxed);
    if (answers(port)) answering_macs_.push_back(WordOf(mac));
    answers_ = answers_ || answers(port);
  }
  for (uint32_t port = 0; port < active_; ++port) learns_[port] = answering_macs_.size() > (answers(port) ? 1 : 0);
  if (answers_ && !hosts_) hosts_ = program_->hosts;
}

MacAddress Lane::link_address(uint32_t port) const { return MacOf(port_macs_[port].load(std::memory_order_relaxed)); }

// ---- what ports hear ----

// True if the frame was for the port itself, and has met its end.
bool Lane::MeetNeighbour(uint32_t index) {
  const Record& record = records_[index];
  if (router_ && router_->is_routed(record.port)) return false;
  if (MayBeNeighbourMessage(record)) {
    const NeighbourMessage message = ReadNeighbourMessage(record, BytesOf(record));
    if (message.kind != NeighbourMessage::Kind::kNone) return HearNeighbour(index, message);
  }
  // Who waits for a host may have to learn its address from traffic: hosts behind another router answer no question.
  if ((record.events & abi::kEventStart) != 0 || !waiting_for_hosts_.empty()) LearnSource(index);
  return false;
}

bool Lane::HearNeighbour(uint32_t index, const NeighbourMessage& message) {
  const Record& record = records_[index];
  const MacAddress mac = link_address(record.port);
  const bool is_ours = std::memcmp(BytesOf(record), mac.data(), mac.size()) == 0;
  const bool is_reply = message.kind == NeighbourMessage::Kind::kReply;
  if (learns_[record.port] || (is_ours && is_reply && IsAskedFor(index, message))) LearnFrom(index, message);
  if (is_reply) {
    if (!is_ours) return false;
    const uint8_t* ip = BytesOf(record) + record.l3_offset;
    if (message.version == 6 && ReadAddress(DestinationOf(ip, 6), 6) != LinkLocalOf(mac)) return false;
    return Consume(index, layout::kEngineDropReasonsResolved), true;
  }
  const bool is_own = message.version == 6 && message.target == LinkLocalOf(mac);
  // Who asks for its own address says that it has it.
  if (message.sender == message.target || (!is_own && !Answers(record.port, message))) return false;
  return Answer(index, message, is_own), true;
}

// Where nobody has to be known, who was not asked for takes the place of hosts behind other ports.
bool Lane::IsAskedFor(uint32_t index, const NeighbourMessage& message) {
  const Record& record = records_[index];
  const HostKey key = KeyOf(message.target, message.version, record, record.port);
  MacAddress mac;
  bool ask;
  return waiting_for_hosts_.WaitFor([&](const WantedHost& wanted) { return wanted.key == key; }) ||
         hosts_->Find(key, clock_ns_, &mac, &ask);
}

bool Lane::Answers(uint32_t port, const NeighbourMessage& message) const {
  if (port >= program_->answers.size()) return false;
  return std::ranges::any_of(program_->answers[port], [&](const Prefix& prefix) {
    return prefix.version == message.version && Covers(prefix, message.target.data());
  });
}

void Lane::Answer(uint32_t index, const NeighbourMessage& request, bool is_own) {
  const Record& record = records_[index];
  NeighbourFrame answer;
  const uint32_t length =
      WriteNeighbourAnswer(record, BytesOf(record), request, link_address(record.port), is_own, &answer);
  if (flights_[index].number != TestFrame::kNumber && !Emit(record.port, {answer.data(), length})) {
    return DropByEngine(index, -1, layout::kEngineDropReasonsPortFull, layout::kOutcomeKindsDrop);
  }
  Count(layout::kLaneCountersAnswered);
  Consume(index, layout::kEngineDropReasonsAnswered);
}

void Lane::Consume(uint32_t index, uint32_t reason) {
  Count(layout::kLaneCountersConsumed);
  Note(index, -1, layout::kOutcomeKindsConsume, 0, reason, 0, true);
  Free(index);
}

void Lane::LearnFrom(uint32_t index, const NeighbourMessage& message) {
  const bool is_reply = message.kind == NeighbourMessage::Kind::kReply;
  if (message.has_link) {
    const auto hearsay = is_reply && !message.overrides ? HostTable::Hearsay::kUnsure : HostTable::Hearsay::kSure;
    Learn(index, is_reply ? message.target : message.sender, message.version, message.link, hearsay);
  }
}

void Lane::LearnSource(uint32_t index) {
  const Record& record = records_[index];
  if (!learns_[record.port] || !HasAddresses(record)) return;
  const uint8_t* bytes = BytesOf(record);
  const uint8_t version = record.ip_version;
  MacAddress mac;
  std::memcpy(mac.data(), bytes + 6, mac.size());
  if ((mac[0] & 1) != 0) return;
  Learn(index, ReadAddress(SourceOf(bytes + record.l3_offset, version), version), version, mac,
        HostTable::Hearsay::kUnsure);
}

void Lane::Learn(uint32_t index, const AddressBytes& address, uint8_t version, const MacAddress& mac,
                 HostTable::Hearsay hearsay) {
  const Record& record = records_[index];
  if (record.vlan_count > kTagsMax || !IsOfOneHost(address, version)) return;
  if (flights_[index].number == TestFrame::kNumber) return;
  // What a lane has sent itself may come back from another port.
  for (uint32_t port = 0; port < active_; ++port) {
    if (link_address(port) == mac) return;
  }
  hosts_->Learn(KeyOf(address, version, record, record.port), mac, clock_ns_, hearsay);
}

// Of a frame that is another lane's.
void Lane::Overhear(uint32_t index) {
  const NeighbourMessage message = ReadNeighbourMessage(records_[index], BytesOf(records_[index]));
  if (message.kind == NeighbourMessage::Kind::kNone) return LearnSource(index);
  if (learns_[records_[index].port]) LearnFrom(index, message);
}

// ---- the way to a host ----

void Lane::AddressFrames() {
  if (!waiting_for_hosts_.empty()) RetryHosts();
  for (uint32_t port = 0; answers_ && port < active_; ++port) {
    const Queue& queue = port_queues_[port];
    const auto end = queue.records.begin() + queue.count;
    const auto needs = [&](uint16_t index) { return NeedsHost(index, port); };
    if (ports_[port]->delivers() && std::any_of(queue.records.begin(), end, needs)) AddressQueue(port);
  }
}

// Whether the frame came because a port answered, or was turned back to where hosts do not know each other as such.
bool Lane::NeedsHost(uint32_t index, uint32_t port) const {
  const Frame& frame = flights_[index].frame;
  if (frame.link != abi::kLinkEthernet || frame.length < kEthernetHeaderBytes) return false;
  if (is_turned_[index] && program_->answers[port].empty()) return true;
  const uint64_t destination = LoadLittle64(config_.umem->data() + frame.offset) & kMacMask;
  return std::ranges::find(answering_macs_, destination) != answering_macs_.end();
}

void Lane::AddressQueue(uint32_t port) {
  Queue queue;
  queue.count = std::exchange(port_queues_[port].count, 0);
  std::copy_n(port_queues_[port].records.begin(), queue.count, queue.records.begin());
  for (uint32_t i = 0; i < queue.count; ++i) {
    const uint32_t index = queue.records[i];
    if (NeedsHost(index, port)) {
      AddressFrame(index, port);
    } else {
      Send(index, -1 - static_cast<Target>(port), -1);
    }
  }
}

// Frames that are not for one host, and who only asks what would become of a frame, leave as they are.
void Lane::AddressFrame(uint32_t index, uint32_t port) {
  Record& record = records_[index];
  if (index >= abi::kBatchCapacity) ParseFrame(BytesOf(record), record);
  const Flight& flight = flights_[index];
  const uint8_t* bytes = BytesOf(record);
  const uint8_t version = record.ip_version;
  AddressBytes address{};
  if (HasAddresses(record)) address = ReadAddress(DestinationOf(bytes + record.l3_offset, version), version);
  const bool is_test = flight.number == TestFrame::kNumber;
  if (is_test || !HasAddresses(record) || record.vlan_count > kTagsMax || !IsOfOneHost(address, version)) {
    return Send(index, -1 - static_cast<Target>(port), -1);
  }
  WantedHost wanted{KeyOf(address, version, record, port), {}};
  std::memcpy(wanted.tags.data(), bytes + 12, wanted.key.tags * 4u);
  // As they leave the chain, as on ports that route.
  if (mirrored_) MirrorOutcome(index, -1, layout::kOutcomeKindsForward, port, 0, 0, false);
  is_routed_[index] = true;
  MacAddress mac;
  bool ask;
  if (!hosts_->Find(wanted.key, clock_ns_, &mac, &ask)) return WaitForHost(index, wanted);
  if (ask) AskFor(wanted);
  SendTo(index, port, mac);
}

void Lane::SendTo(uint32_t index, uint32_t port, const MacAddress& mac) {
  uint8_t* link = config_.umem->data() + flights_[index].frame.offset;
  std::memcpy(link, mac.data(), mac.size());
  std::memcpy(link + 6, link_address(port).data(), mac.size());
  Send(index, -1 - static_cast<Target>(port), -1);
}

// False if it has to be tried again.
bool Lane::AskFor(const WantedHost& wanted) {
  const HostKey& key = wanted.key;
  AddressBytes sender{};
  if (router_) router_->AddressOf(key.port, key.version, &sender);
  NeighbourFrame request;
  const uint32_t length = WriteNeighbourRequest(key.version, key.address, {wanted.tags.data(), key.tags * 4u},
                                                link_address(key.port), sender, &request);
  if (!Emit(key.port, {request.data(), length})) return false;
  Count(layout::kLaneCountersAsked);
  return true;
}

void Lane::WaitForHost(uint32_t index, const WantedHost& wanted) {
  const Flight& flight = flights_[index];
  const bool waits = waiting_for_hosts_.Add({flight.frame, flight.number, records_[index].port}, wanted, clock_ns_,
                                            [this](const WantedHost& host) { return AskFor(host); });
  if (!waits) DropByEngine(index, -1, layout::kEngineDropReasonsNeighbourUnknown, layout::kOutcomeKindsDrop);
}

void Lane::RetryHosts() {
  MacAddress mac;
  bool ask;
  const auto is_known = [&](const WantedHost& wanted) {
    return wanted.key.port >= active_ || hosts_->Find(wanted.key, clock_ns_, &mac, &ask);
  };
  const auto let_go = [&](const HeldFragment& held, const WantedHost& wanted, bool known) {
    const int32_t index = TakeRecord(held.frame, held.number, held.port);
    if (index < 0) return false;
    const auto record = static_cast<uint32_t>(index);
    ParseFrame(BytesOf(records_[record]), records_[record]);
    if (known && wanted.key.port < active_) {
      SendTo(record, wanted.key.port, mac);
    } else {
      DropByEngine(record, -1, layout::kEngineDropReasonsNeighbourUnknown, layout::kOutcomeKindsDrop);
    }
    return true;
  };
  waiting_for_hosts_.Retry(clock_ns_, is_known, let_go, [this](const WantedHost& host) { return AskFor(host); });
}

}  // namespace sluice
