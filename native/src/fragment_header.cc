#include "fragment_header.h"

#include <cstring>

#include "parse_network.h"

namespace sluice {
namespace {

constexpr uint32_t kTcpBytes = 20;
constexpr uint32_t kFragmentHeaderBytes = 8;

void ReadIpv4(const uint8_t* ip, const Record& record, FragmentHeader* header) {
  std::memcpy(header->key.source, ip + 12, 4);
  std::memcpy(header->key.destination, ip + 16, 4);
  header->key.identification = LoadBig16(ip + 4);
  header->key.ip_proto = record.ip_proto;
  header->before = (ip[0] & 0x0f) * 4u;
  header->end = header->start + LoadBig16(ip + 2) - header->before;
}

// The parser has been here; that each header is in the frame is checked all the same, for it costs little.
bool ReadIpv6(const uint8_t* bytes, const Record& record, FragmentHeader* header) {
  const uint8_t* ip = bytes + record.l3_offset;
  const uint32_t first = record.l3_offset + 40u, whole = LoadBig16(ip + 4);
  std::memcpy(header->key.source, ip + 8, 16);
  std::memcpy(header->key.destination, ip + 24, 16);
  uint32_t at = first;
  uint8_t proto = ip[6];
  while (IsExtension(proto) && record.length >= at + kFragmentHeaderBytes) {
    const uint8_t* extension = bytes + at;
    at += ExtensionBytes(proto, extension);
    if (proto == kProtoFragment) {
      header->key.identification = __builtin_bswap32(LoadLittle32(extension + 4));
      header->before = at - first - kFragmentHeaderBytes;
      header->end = header->start + whole - (at - first);
      return at - first <= whole;
    }
    proto = extension[0];
  }
  return false;
}

// RFC 1858, RFC 3128 and RFC 7112: whoever looks at ports and flags finds them in the first fragment, or not at all.
FragmentReason FaultOfFirst(const Record& record, const uint8_t* bytes) {
  switch (record.malformed) {
    case abi::kMalformedNone:
    case abi::kMalformedUdpLength:
      return FragmentReason::kNone;
    case abi::kMalformedExtensionOrder:
    case abi::kMalformedExtensionCount:
      return FragmentReason::kMalformed;
    case abi::kMalformedTcpOffset:
      return (bytes[record.l4_offset + 12] >> 4) * 4u < kTcpBytes ? FragmentReason::kNone : FragmentReason::kTiny;
    default:  // too short, perhaps only in the capture
      return (record.flags & abi::kRecordFlagCut) ? FragmentReason::kNone : FragmentReason::kTiny;
  }
}

FragmentReason FaultOf(const Record& record, const uint8_t* bytes, const FragmentHeader& header) {
  if (header.before + header.end > 0xffff) return FragmentReason::kTooLong;
  if (record.malformed == abi::kMalformedFragment) return FragmentReason::kMalformed;
  if (header.start == 0) return FaultOfFirst(record, bytes);
  return record.ip_proto == kProtoTcp && header.start < kTcpBytes ? FragmentReason::kTiny : FragmentReason::kNone;
}

bool HasSoundIpHeader(const Record& record) {
  return record.ip_version != 0 && record.malformed != abi::kMalformedIpShort &&
         record.malformed != abi::kMalformedIpHeaderLength && record.malformed != abi::kMalformedIpTotalLength;
}

}  // namespace

bool ReadFragmentHeader(const Record& record, const uint8_t* bytes, uint16_t zone, FragmentHeader* header) {
  if (!HasSoundIpHeader(record)) return false;
  *header = {};
  header->key.zone = zone;
  header->key.vlan = record.vlan_count > 0 ? record.outer_tci & 0x0fff : 0;
  header->key.ip_version = record.ip_version;
  header->start = record.fragment_offset;
  header->more = (record.flags & abi::kRecordFlagMoreFragments) != 0;
  if (record.ip_version == 4) {
    ReadIpv4(bytes + record.l3_offset, record, header);
  } else if (!ReadIpv6(bytes, record, header)) {
    return false;
  }
  header->fault = FaultOf(record, bytes, *header);
  return true;
}

}  // namespace sluice
