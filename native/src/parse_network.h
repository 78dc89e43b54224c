// IPv4, IPv6 with its extension headers, fragments and ARP. Part of parser.cc, in a file of its own to be read alone.
#pragma once

#include "parse_transport.h"

namespace sluice {

// More than any sound packet has, few enough that a frame full of headers costs little.
inline constexpr uint32_t kExtensionLimit = 8;

inline uint32_t WireLength(const Record& record) { return std::max(record.length, record.wire_length); }

// Where the link has none, the IP destination decides whether a frame is for a group.
inline bool LinkHasAddresses(const Record& record) {
  return record.link == abi::kLinkEthernet || record.link == abi::kLinkSll;
}

struct Fragment {
  uint32_t offset;  // in bytes
  bool more;
  uint32_t before;  // bytes of the whole packet that its length field counts and that every fragment repeats
};

inline void NoteFragment(const Fragment& fragment, Record& record) {
  record.fragment_offset = static_cast<uint16_t>(fragment.offset);
  if (fragment.more || fragment.offset > 0) record.flags |= abi::kRecordFlagFragment;
  if (fragment.more) record.flags |= abi::kRecordFlagMoreFragments;
}

// RFC 791, section 3.2, and RFC 8200, section 4.5: all but the last are multiples of 8; the whole fits 16 bits of
// length.
inline bool IsSoundFragment(const Fragment& fragment, uint32_t bytes) {
  if (fragment.more && bytes % 8 != 0) return false;
  if (bytes == 0 && (fragment.more || fragment.offset > 0)) return false;
  return fragment.before + fragment.offset + bytes <= 0xffff;
}

inline void NoteGroup4(const uint8_t* destination, Record& record) {
  if (LoadLittle32(destination) == 0xffffffff) {
    record.flags |= abi::kRecordFlagBroadcast;
  } else if ((destination[0] & 0xf0) == 0xe0) {
    record.flags |= abi::kRecordFlagMulticast;
  }
}

// ParseIpv4 and ParseIpv6 leave in `data` what follows the header and its options or extensions.

inline bool ParseIpv4(const uint8_t* bytes, uint32_t offset, Record& record, Extent& data) {
  if (record.length - offset < 20) return Fault(record, abi::kMalformedIpShort);
  const uint8_t* ip = bytes + offset;
  if (ip[0] >> 4 != 4) return Fault(record, abi::kMalformedIpVersion);
  record.l3_offset = static_cast<uint16_t>(offset);
  record.ip_version = 4;
  record.ip_proto = ip[9];
  record.traffic_class = ip[1];
  if (!LinkHasAddresses(record)) NoteGroup4(ip + 16, record);

  const uint32_t header = (ip[0] & 0x0f) * 4u, total = LoadBig16(ip + 2), control = LoadBig16(ip + 6);
  const bool fragmented = (control & 0x3fff) != 0;
  const Fragment fragment = {(control & 0x1fff) * 8, (control & 0x2000) != 0, header};
  if (fragmented) NoteFragment(fragment, record);
  if ((control & 0x4000) != 0) record.flags |= abi::kRecordFlagDontFragment;
  if (header > 20) record.flags |= abi::kRecordFlagOptions;

  if (header < 20) return Fault(record, abi::kMalformedIpHeaderLength);
  if (total < header || total > WireLength(record) - offset) return Fault(record, abi::kMalformedIpTotalLength);
  if (record.length - offset < header) return Fault(record, abi::kMalformedIpShort);
  data = {offset + header, std::min(offset + total, record.length), offset + total};
  if (fragmented && !IsSoundFragment(fragment, data.wire())) return Fault(record, abi::kMalformedFragment);
  return true;
}

inline bool IsExtension(uint8_t proto) {
  return proto == kProtoHopByHop || proto == kProtoRouting || proto == kProtoFragment || proto == kProtoDestination ||
         proto == kProtoAuthentication;
}

// `header` has at least 8 bytes, as every extension header does.
inline uint32_t ExtensionBytes(uint8_t proto, const uint8_t* header) {
  if (proto == kProtoFragment) return 8;
  if (proto == kProtoAuthentication) return (header[1] + 2u) * 4;
  return (header[1] + 1u) * 8;
}

// Walks the headers between the IPv6 header and the transport header. False if a fault ended the walk. `data` is what
// is left; record.ip_proto is its protocol, or the header at which the walk ended.
inline bool WalkExtensions(const uint8_t* bytes, Extent& data, Record& record) {
  const uint32_t first = data.start;
  bool fragmented = false;
  record.flags |= abi::kRecordFlagOptions;
  for (uint32_t count = 0; IsExtension(record.ip_proto); ++count) {
    const uint8_t proto = record.ip_proto;
    const bool misplaced = (proto == kProtoHopByHop && count > 0) || (proto == kProtoFragment && fragmented);
    if (misplaced) return Fault(record, abi::kMalformedExtensionOrder);
    if (count == kExtensionLimit) return Fault(record, abi::kMalformedExtensionCount);
    if (data.present() < 8) return Fault(record, abi::kMalformedExtensionShort);
    const uint8_t* header = bytes + data.start;
    const uint32_t header_bytes = ExtensionBytes(proto, header);
    if (data.present() < header_bytes) return Fault(record, abi::kMalformedExtensionShort);

    if (proto == kProtoFragment) {
      fragmented = true;
      const uint32_t control = LoadBig16(header + 2);
      const Fragment fragment = {control & 0xfff8, (control & 1) != 0, data.start - first};
      NoteFragment(fragment, record);
      if (!IsSoundFragment(fragment, data.wire() - 8)) return Fault(record, abi::kMalformedFragment);
    }
    record.ip_proto = header[0];
    data = data.From(header_bytes);
    if (record.fragment_offset > 0) break;
  }
  return true;
}

inline bool ParseIpv6(const uint8_t* bytes, uint32_t offset, Record& record, Extent& data) {
  if (record.length - offset < 40) return Fault(record, abi::kMalformedIpShort);
  const uint8_t* ip = bytes + offset;
  if (ip[0] >> 4 != 6) return Fault(record, abi::kMalformedIpVersion);
  record.l3_offset = static_cast<uint16_t>(offset);
  record.ip_version = 6;
  record.ip_proto = ip[6];
  record.traffic_class = static_cast<uint8_t>(LoadBig16(ip) >> 4);
  if (!LinkHasAddresses(record) && ip[24] == 0xff) record.flags |= abi::kRecordFlagMulticast;

  const uint32_t total = 40u + LoadBig16(ip + 4);
  if (total > WireLength(record) - offset) return Fault(record, abi::kMalformedIpTotalLength);
  data = {offset + 40, std::min(offset + total, record.length), offset + total};
  return !IsExtension(record.ip_proto) || WalkExtensions(bytes, data, record);
}

// RFC 826. 28 bytes are the addresses of Ethernet and IPv4; longer ones must be present, too.
inline bool ParseArp(const uint8_t* bytes, uint32_t offset, Record& record) {
  const uint32_t present = record.length - offset;
  if (present < 28) return Fault(record, abi::kMalformedArpShort);
  const uint8_t* arp = bytes + offset;
  if (present < 8u + 2u * (arp[4] + arp[5])) return Fault(record, abi::kMalformedArpShort);
  record.l3_offset = static_cast<uint16_t>(offset);
  return true;
}

}  // namespace sluice
