#include "parser.h"

#include "parse_network.h"
#include "tuple_hash.h"

namespace sluice {
namespace {

constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeArp = 0x0806;
constexpr uint16_t kEtherTypeVlan = 0x8100;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
constexpr uint16_t kEtherTypeProviderVlan = 0x88a8;
constexpr uint16_t kEtherTypeOldProviderVlan = 0x9100;

constexpr uint32_t kEthernetBytes = 14;
constexpr uint32_t kSllBytes = 16;
constexpr uint32_t kNullBytes = 4;

// A frame of nothing but tags must not cost more than a packet.
constexpr uint32_t kVlanLimit = 8;

// How many frames ahead of the one being parsed memory is asked for.
constexpr uint32_t kPrefetchDistance = 6;

void Reset(Record& record) {
  record.l3_offset = record.l4_offset = record.payload_offset = abi::kOffsetNone;
  record.payload_length = record.ether_type = 0;
  record.ip_proto = record.ip_version = 0;
  record.flags = record.length < record.wire_length ? abi::kRecordFlagCut : 0;
  record.malformed = record.vlan_count = 0;
  record.outer_tci = record.inner_tci = 0;
  record.source_port = record.destination_port = 0;
  record.tcp_flags = record.traffic_class = 0;
  record.tunnel = 0;
  record.fragment_offset = 0;
  record.hash = 0;
}

bool IsVlan(uint16_t ether_type) {
  return ether_type == kEtherTypeVlan || ether_type == kEtherTypeProviderVlan ||
         ether_type == kEtherTypeOldProviderVlan;
}

bool ParseEthernetLink(const uint8_t* bytes, Record& record) {
  if (record.length < kEthernetBytes) return Fault(record, abi::kMalformedLinkShort);
  const uint64_t destination = LoadLittle64(bytes) & 0xffffffffffff;
  if ((destination & 1) != 0) {
    record.flags |= destination == 0xffffffffffff ? abi::kRecordFlagBroadcast : abi::kRecordFlagMulticast;
  }
  record.ether_type = LoadBig16(bytes + 12);
  return true;
}

// Linux cooked capture: the first field says how the frame was addressed.
bool ParseSllLink(const uint8_t* bytes, Record& record) {
  if (record.length < kSllBytes) return Fault(record, abi::kMalformedLinkShort);
  const uint16_t packet_type = LoadBig16(bytes);
  if (packet_type == 1) record.flags |= abi::kRecordFlagBroadcast;
  if (packet_type == 2) record.flags |= abi::kRecordFlagMulticast;
  record.ether_type = LoadBig16(bytes + 14);
  return true;
}

uint16_t EtherTypeOfFamily(uint32_t family) {
  switch (family) {
    case 2:
      return kEtherTypeIpv4;
    case 10:  // Linux
    case 24:  // NetBSD, OpenBSD
    case 28:  // FreeBSD
    case 30:  // macOS
      return kEtherTypeIpv6;
    default:
      return 0;
  }
}

// The address family in the byte order of the machine that captured; all known ones are below 256.
bool ParseNullLink(const uint8_t* bytes, Record& record) {
  if (record.length < kNullBytes) return Fault(record, abi::kMalformedLinkShort);
  const uint32_t family = LoadLittle32(bytes);
  record.ether_type = EtherTypeOfFamily(family < 256 ? family : __builtin_bswap32(family));
  return true;
}

// Moves `offset` behind the tags.
bool ParseVlans(const uint8_t* bytes, uint32_t& offset, Record& record) {
  while (IsVlan(record.ether_type) && record.vlan_count < kVlanLimit) {
    if (record.length - offset < 4) return Fault(record, abi::kMalformedVlanShort);
    const uint16_t tci = LoadBig16(bytes + offset);
    if (record.vlan_count == 0) record.outer_tci = tci;
    if (record.vlan_count == 1) record.inner_tci = tci;
    ++record.vlan_count;
    record.ether_type = LoadBig16(bytes + offset + 2);
    offset += 4;
  }
  return true;
}

bool ParseNetwork(const uint8_t* bytes, uint32_t offset, Record& record, Extent& data) {
  switch (record.ether_type) {
    case kEtherTypeIpv4:
      return ParseIpv4(bytes, offset, record, data);
    case kEtherTypeIpv6:
      return ParseIpv6(bytes, offset, record, data);
    case kEtherTypeArp:
      return ParseArp(bytes, offset, record);
  }
  return true;
}

// No link header: the IP version says what it is.
bool ParseRawLink(const uint8_t* bytes, Record& record) {
  if (record.length == 0) return Fault(record, abi::kMalformedIpShort);
  const uint8_t version = bytes[0] >> 4;
  if (version != 4 && version != 6) return Fault(record, abi::kMalformedIpVersion);
  record.ether_type = version == 4 ? kEtherTypeIpv4 : kEtherTypeIpv6;
  return true;
}

// Sets ether_type and moves `offset` behind the link header.
bool ParseLink(const uint8_t* bytes, uint32_t& offset, Record& record) {
  switch (record.link) {
    case abi::kLinkEthernet:
      offset = kEthernetBytes;
      return ParseEthernetLink(bytes, record);
    case abi::kLinkSll:
      offset = kSllBytes;
      return ParseSllLink(bytes, record);
    case abi::kLinkNull:
      offset = kNullBytes;
      return ParseNullLink(bytes, record);
    case abi::kLinkRaw:
      return ParseRawLink(bytes, record);
  }
  return true;
}

void ParseHeaders(const uint8_t* bytes, Record& record) {
  uint32_t offset = 0;
  Extent data = {};
  if (!ParseLink(bytes, offset, record) || !ParseVlans(bytes, offset, record)) return;
  if (!ParseNetwork(bytes, offset, record, data) || record.ip_version == 0) return;
  if (record.fragment_offset > 0) {
    NotePayload(record, data);  // the transport header stands in the first fragment
  } else {
    ParseTransport(bytes, data, record);
  }
}

uint32_t HashOf(const uint8_t* bytes, const Record& record) {
  const bool fragment = (record.flags & abi::kRecordFlagFragment) != 0;
  const bool icmp = record.ip_proto == kProtoIcmp || record.ip_proto == kProtoIcmpv6;
  const uint8_t proto = fragment ? kFragmentHashProto : record.ip_proto;
  const uint16_t source = fragment ? 0 : icmp ? record.destination_port : record.source_port;
  const uint16_t destination = fragment ? 0 : record.destination_port;
  const uint8_t* ip = bytes + record.l3_offset;
  if (record.ip_version == 4) {
    return HashPair(HashEndpoint4(ip + 12, source), HashEndpoint4(ip + 16, destination), proto);
  }
  return HashPair(HashEndpoint6(ip + 8, source), HashEndpoint6(ip + 24, destination), proto);
}

// Most headers end within the first 128 bytes.
void Prefetch(const uint8_t* frame) {
  __builtin_prefetch(frame);
  __builtin_prefetch(frame + 64);
}

}  // namespace

void ParseFrame(const uint8_t* bytes, Record& record) {
  Reset(record);
  ParseHeaders(bytes, record);
  if (record.ip_version != 0) record.hash = HashOf(bytes, record);
}

void ParseBatch(const uint8_t* umem, uint32_t frames_address, Record* records, const uint16_t* index, uint32_t count) {
  const auto frame = [&](uint32_t i) { return umem + (records[index[i]].frame - frames_address); };
  for (uint32_t i = 0; i < std::min(count, kPrefetchDistance); ++i) Prefetch(frame(i));
  for (uint32_t i = 0; i < count; ++i) {
    if (i + kPrefetchDistance < count) Prefetch(frame(i + kPrefetchDistance));
    ParseFrame(frame(i), records[index[i]]);
  }
}

}  // namespace sluice
