#include "neighbour_message.h"

#include <algorithm>
#include <cstring>

#include "ip_header.h"
#include "link_header.h"

namespace sluice {
namespace {

using Kind = NeighbourMessage::Kind;

constexpr uint16_t kEtherTypeIpv4 = 0x0800, kEtherTypeArp = 0x0806, kEtherTypeIpv6 = 0x86dd;
constexpr uint32_t kMacsBytes = 12, kShortestFrame = 60;
constexpr uint32_t kArpBytes = 28;
constexpr uint16_t kArpRequest = 1, kArpReply = 2;
constexpr uint8_t kIcmpv6 = 58, kSolicitation = 135, kAdvertisement = 136;
constexpr uint32_t kMessageBytes = 24, kLinkOptionBytes = 8;
constexpr uint8_t kSourceLink = 1, kTargetLink = 2;
constexpr uint8_t kSolicited = 0x40, kOverride = 0x20;
constexpr uint8_t kHopLimit = 255;
constexpr AddressBytes kAllNodes = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr AddressBytes kSolicitedNode = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
constexpr uint32_t kSolicitedNodeBytes = 13;
constexpr uint32_t kTagsBytesMax = 8 * 4;
static_assert(kMacsBytes + kTagsBytesMax + 2 + kIpv6HeaderBytes + kMessageBytes + kLinkOptionBytes <=
              kNeighbourFrameBytes);

bool IsUnicast(const MacAddress& mac) { return (mac[0] & 1) == 0 && mac != MacAddress{}; }

NeighbourMessage ReadArp(const Record& record, const uint8_t* arp) {
  constexpr uint8_t kEthernetOfIpv4[] = {0, 1, 8, 0, 6, 4};
  if (record.length < record.l3_offset + kArpBytes || std::memcmp(arp, kEthernetOfIpv4, 6) != 0) return {};
  const uint16_t operation = LoadBig16(arp + 6);
  if (operation != kArpRequest && operation != kArpReply) return {};
  NeighbourMessage message{.version = 4, .has_link = true};
  message.kind = operation == kArpRequest ? Kind::kRequest : Kind::kReply;
  std::memcpy(message.link.data(), arp + 8, 6);
  std::memcpy(message.sender.data(), arp + 14, 4);
  std::memcpy(message.target.data(), message.kind == Kind::kRequest ? arp + 24 : arp + 14, 4);
  message.overrides = true;
  return IsUnicast(message.link) ? message : NeighbourMessage{};
}

uint16_t ChecksumOf(const uint8_t* ip, const uint8_t* icmp, uint32_t length) {
  return FinishChecksum(AddWords(AddWords(length + kIcmpv6, ip + 8, 32), icmp, length));
}

// The options; false if they are not sound. Of several of the wanted type the first counts.
bool ReadOptions(std::span<const uint8_t> options, uint8_t wanted, NeighbourMessage* message) {
  while (!options.empty()) {
    const size_t bytes = options.size() < 2 ? 0 : options[1] * 8u;
    if (bytes == 0 || bytes > options.size()) return false;
    if (options[0] == wanted && bytes == kLinkOptionBytes && !message->has_link) {
      std::memcpy(message->link.data(), options.data() + 2, 6);
      message->has_link = IsUnicast(message->link);
    }
    options = options.subspan(bytes);
  }
  return true;
}

bool IsToSolicitedNode(const uint8_t* ip) {
  return std::memcmp(DestinationOf(ip, 6), kSolicitedNode.data(), kSolicitedNodeBytes) == 0;
}

// RFC 4861, 7.1.1 and 7.1.2. With extension headers it is none that a host would send.
NeighbourMessage ReadDiscovery(const Record& record, const uint8_t* ip) {
  const uint32_t present = record.length - record.l3_offset;
  if (present < kIpv6HeaderBytes + kMessageBytes || ip[6] != kIcmpv6 || ip[7] != kHopLimit) return {};
  const uint8_t* icmp = ip + kIpv6HeaderBytes;
  const uint32_t length = LoadBig16(ip + 4);
  const bool is_request = icmp[0] == kSolicitation;
  if (!is_request && icmp[0] != kAdvertisement) return {};
  if (length < kMessageBytes || length > present - kIpv6HeaderBytes || icmp[1] != 0) return {};
  if (ChecksumOf(ip, icmp, length) != 0) return {};
  NeighbourMessage message{.version = 6};
  message.kind = is_request ? Kind::kRequest : Kind::kReply;
  std::memcpy(message.sender.data(), SourceOf(ip, 6), 16);
  std::memcpy(message.target.data(), icmp + 8, 16);
  message.overrides = (icmp[4] & kOverride) != 0;
  const std::span options(icmp + kMessageBytes, length - kMessageBytes);
  if (message.target[0] == 0xff || message.sender[0] == 0xff) return {};
  if (!ReadOptions(options, is_request ? kSourceLink : kTargetLink, &message)) return {};
  if (is_request && message.is_anonymous() && (message.has_link || !IsToSolicitedNode(ip))) return {};
  if (!is_request && DestinationOf(ip, 6)[0] == 0xff && (icmp[4] & kSolicited) != 0) return {};
  return message;
}

// Link addresses, tags, ethertype. Returns where the packet begins.
uint32_t WriteLink(const MacAddress& to, const MacAddress& from, std::span<const uint8_t> tags, uint16_t ether_type,
                   NeighbourFrame* out) {
  out->fill(0);
  std::ranges::copy(to, out->begin());
  std::ranges::copy(from, out->begin() + 6);
  std::ranges::copy(tags, out->begin() + kMacsBytes);
  StoreBig16(out->data() + kMacsBytes + tags.size(), ether_type);
  return kMacsBytes + static_cast<uint32_t>(tags.size()) + 2;
}

struct ArpEnd {
  MacAddress mac;
  AddressBytes address;
};

uint32_t WriteArp(uint16_t operation, const ArpEnd& sender, const ArpEnd& target, uint32_t at, NeighbourFrame* out) {
  uint8_t* arp = out->data() + at;
  StoreBig16(arp, 1);
  StoreBig16(arp + 2, kEtherTypeIpv4);
  arp[4] = 6;
  arp[5] = 4;
  StoreBig16(arp + 6, operation);
  std::memcpy(arp + 8, sender.mac.data(), 6);
  std::memcpy(arp + 14, sender.address.data(), 4);
  std::memcpy(arp + 18, target.mac.data(), 6);
  std::memcpy(arp + 24, target.address.data(), 4);
  return std::max(kShortestFrame, at + kArpBytes);
}

struct Discovery {
  uint8_t type;
  uint8_t flags;
  AddressBytes target;
  uint8_t option;
  MacAddress link;
};

uint32_t WriteDiscovery(const Discovery& said, const AddressBytes& from, const AddressBytes& to, uint32_t at,
                        NeighbourFrame* out) {
  constexpr uint32_t kLength = kMessageBytes + kLinkOptionBytes;
  uint8_t* ip = out->data() + at;
  StoreBig32(ip, 0x60000000);
  StoreBig16(ip + 4, kLength);
  ip[6] = kIcmpv6;
  ip[7] = kHopLimit;
  std::memcpy(ip + 8, from.data(), 16);
  std::memcpy(ip + 24, to.data(), 16);
  uint8_t* icmp = ip + kIpv6HeaderBytes;
  icmp[0] = said.type;
  icmp[4] = said.flags;
  std::memcpy(icmp + 8, said.target.data(), 16);
  icmp[kMessageBytes] = said.option;
  icmp[kMessageBytes + 1] = kLinkOptionBytes / 8;
  std::memcpy(icmp + kMessageBytes + 2, said.link.data(), 6);
  StoreBig16(icmp + 2, ChecksumOf(ip, icmp, kLength));
  return at + kIpv6HeaderBytes + kLength;
}

// RFC 2464, section 7.
MacAddress GroupMacOf(const AddressBytes& group) { return {0x33, 0x33, group[12], group[13], group[14], group[15]}; }

}  // namespace

bool MayBeNeighbourMessage(const Record& record) {
  if (record.link != abi::kLinkEthernet || record.l3_offset == abi::kOffsetNone) return false;
  return record.ether_type == kEtherTypeArp || (record.ip_version == 6 && record.ip_proto == kIcmpv6);
}

NeighbourMessage ReadNeighbourMessage(const Record& record, const uint8_t* frame) {
  if (!MayBeNeighbourMessage(record)) return {};
  const uint8_t* packet = frame + record.l3_offset;
  return record.ether_type == kEtherTypeArp ? ReadArp(record, packet) : ReadDiscovery(record, packet);
}

uint32_t WriteNeighbourAnswer(const Record& record, const uint8_t* frame, const NeighbourMessage& request,
                              const MacAddress& mac, bool overrides, NeighbourFrame* out) {
  const std::span tags(frame + kMacsBytes, record.l3_offset - kEthernetHeaderBytes);
  if (request.version == 4) {
    const uint32_t at = WriteLink(request.link, mac, tags, kEtherTypeArp, out);
    return WriteArp(kArpReply, {mac, request.target}, {request.link, request.sender}, at, out);
  }
  // RFC 4861, 7.2.4; without the override flag by 7.2.8.
  MacAddress to = request.link;
  if (!request.has_link) std::memcpy(to.data(), frame + 6, 6);
  if (request.is_anonymous()) to = GroupMacOf(kAllNodes);
  const uint32_t at = WriteLink(to, mac, tags, kEtherTypeIpv6, out);
  const uint8_t flags = (request.is_anonymous() ? 0 : kSolicited) | (overrides ? kOverride : 0);
  return WriteDiscovery({kAdvertisement, flags, request.target, kTargetLink, mac}, LinkLocalOf(mac),
                        request.is_anonymous() ? kAllNodes : request.sender, at, out);
}

uint32_t WriteNeighbourRequest(uint8_t version, const AddressBytes& target, std::span<const uint8_t> tags,
                               const MacAddress& mac, const AddressBytes& sender, NeighbourFrame* out) {
  if (version == 4) {
    constexpr MacAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint32_t at = WriteLink(kBroadcast, mac, tags, kEtherTypeArp, out);
    return WriteArp(kArpRequest, {mac, sender}, {{}, target}, at, out);
  }
  AddressBytes group = kSolicitedNode;
  std::copy(target.begin() + kSolicitedNodeBytes, target.end(), group.begin() + kSolicitedNodeBytes);
  const uint32_t at = WriteLink(GroupMacOf(group), mac, tags, kEtherTypeIpv6, out);
  return WriteDiscovery({kSolicitation, 0, target, kSourceLink, mac}, LinkLocalOf(mac), group, at, out);
}

AddressBytes LinkLocalOf(const MacAddress& mac) {
  return {0xfe,   0x80,   0,    0,    0,      0,      0,     0, static_cast<uint8_t>(mac[0] ^ 2),
          mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
}

}  // namespace sluice
