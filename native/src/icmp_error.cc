#include "icmp_error.h"

#include <algorithm>
#include <cstring>

#include "ip_header.h"

namespace sluice {
namespace {

constexpr uint8_t kIcmp = 1, kIcmpv6 = 58, kFragmentHeader = 44;
constexpr uint32_t kIcmpHeaderBytes = 8;
constexpr uint8_t kTtl = 64;

struct TypeAndCode {
  uint8_t type, code;
};

TypeAndCode NameIn(uint8_t version, IcmpError error) {
  switch (error) {
    case IcmpError::kTtlExceeded:
      return version == 4 ? TypeAndCode{11, 0} : TypeAndCode{3, 0};
    case IcmpError::kPacketTooBig:
      return version == 4 ? TypeAndCode{3, 4} : TypeAndCode{2, 0};
    case IcmpError::kNoRoute:
      return version == 4 ? TypeAndCode{3, 0} : TypeAndCode{1, 0};
    case IcmpError::kHostUnreachable:
      return version == 4 ? TypeAndCode{3, 1} : TypeAndCode{1, 3};
    default:
      return version == 4 ? TypeAndCode{3, 13} : TypeAndCode{1, 1};
  }
}

bool IsIcmpError4(uint8_t type) { return type == 3 || type == 4 || type == 5 || type == 11 || type == 12; }

bool DeservesError4(std::span<const uint8_t> packet) {
  if (packet.size() < kIpv4HeaderBytes) return false;
  const uint8_t* ip = packet.data();
  if (LoadBig16(ip + 6) & kFragmentOffsetMask) return false;
  const uint8_t first = ip[12];
  if (first == 0 || first == 127 || first >= 224 || ip[16] >= 224) return false;
  const uint32_t header = Ipv4HeaderLength(ip);
  return ip[9] != kIcmp || (packet.size() > header && !IsIcmpError4(ip[header]));
}

bool DeservesError6(std::span<const uint8_t> packet) {
  if (packet.size() < kIpv6HeaderBytes) return false;
  const uint8_t* ip = packet.data();
  static constexpr uint8_t kUnspecified[15] = {};
  if (ip[8] == 0xff || ip[24] == 0xff || (std::memcmp(ip + 8, kUnspecified, 15) == 0 && ip[23] <= 1)) return false;
  uint8_t next_header = ip[6];
  uint32_t at = kIpv6HeaderBytes;
  while (next_header == 0 || next_header == 43 || next_header == 60 || next_header == kFragmentHeader) {
    if (at + 8 > packet.size()) return false;
    if (next_header == kFragmentHeader && (LoadBig16(ip + at + 2) & 0xfff8)) return false;
    const bool was_fragment = next_header == kFragmentHeader;
    next_header = ip[at];
    at += was_fragment ? 8 : (ip[at + 1] + 1u) * 8;
  }
  return next_header != kIcmpv6 || (at < packet.size() && ip[at] >= 128);
}

uint16_t ChecksumOfIcmp6(const uint8_t* ip, uint32_t length) {
  const uint64_t pseudo = AddWords(length + kIcmpv6, ip + 8, 32);
  return FinishChecksum(AddWords(pseudo, ip + kIpv6HeaderBytes, length));
}

void WriteHeader4(std::span<const uint8_t> packet, const AddressBytes& source, uint32_t length, uint8_t* ip) {
  std::memset(ip, 0, kIpv4HeaderBytes);
  ip[0] = 0x45;
  ip[1] = 0xc0;  // internetwork control (RFC 1812, 4.3.2.5)
  StoreBig16(ip + 2, length);
  ip[8] = kTtl;
  ip[9] = kIcmp;
  std::memcpy(ip + 12, source.data(), 4);
  std::memcpy(ip + 16, SourceOf(packet.data(), 4), 4);
  RenewIpv4Checksum(ip);
}

void WriteHeader6(std::span<const uint8_t> packet, const AddressBytes& source, uint32_t payload, uint8_t* ip) {
  StoreBig32(ip, 0x60000000);
  StoreBig16(ip + 4, payload);
  ip[6] = kIcmpv6;
  ip[7] = kTtl;
  std::memcpy(ip + 8, source.data(), 16);
  std::memcpy(ip + 24, SourceOf(packet.data(), 6), 16);
}

}  // namespace

bool DeservesIcmpError(std::span<const uint8_t> packet, uint8_t version) {
  return version == 4 ? DeservesError4(packet) : DeservesError6(packet);
}

uint32_t WriteIcmpError(std::span<const uint8_t> packet, uint8_t version, IcmpError error, uint32_t value,
                        const AddressBytes& source, uint8_t* out) {
  const uint32_t header = version == 4 ? kIpv4HeaderBytes : kIpv6HeaderBytes;
  const auto quoted =
      std::min<uint32_t>(static_cast<uint32_t>(packet.size()), version == 4 ? kQuoteBytes4 : kQuoteBytes6);
  const uint32_t length = kIcmpHeaderBytes + quoted;
  if (version == 4) {
    WriteHeader4(packet, source, header + length, out);
  } else {
    WriteHeader6(packet, source, length, out);
  }
  uint8_t* icmp = out + header;
  const TypeAndCode name = NameIn(version, error);
  icmp[0] = name.type;
  icmp[1] = name.code;
  StoreBig16(icmp + 2, 0);
  StoreBig32(icmp + 4, value);
  std::memcpy(icmp + kIcmpHeaderBytes, packet.data(), quoted);
  StoreBig16(icmp + 2, version == 4 ? FinishChecksum(AddWords(0, icmp, length)) : ChecksumOfIcmp6(out, length));
  return header + length;
}

}  // namespace sluice
