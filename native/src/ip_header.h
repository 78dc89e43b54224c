// What a router reads and changes of IP headers (RFC 791, RFC 8200), and the checksum (RFC 1071).
#pragma once

#include <cstdint>
#include <cstring>

#include "wire.h"

namespace sluice {

inline constexpr uint32_t kIpv4HeaderBytes = 20;
inline constexpr uint32_t kIpv6HeaderBytes = 40;
inline constexpr uint16_t kDontFragment = 0x4000;
inline constexpr uint16_t kMoreFragments = 0x2000;
inline constexpr uint16_t kFragmentOffsetMask = 0x1fff;

inline void StoreBig16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

inline void StoreBig32(uint8_t* at, uint32_t value) {
  StoreBig16(at, value >> 16);
  StoreBig16(at + 2, value);
}

// One's complement sum of big-endian words; an odd last byte is a word's first.
inline uint64_t AddWords(uint64_t sum, const uint8_t* at, uint32_t bytes) {
  for (; bytes >= 2; bytes -= 2, at += 2) sum += LoadBig16(at);
  return bytes == 0 ? sum : sum + (static_cast<uint32_t>(*at) << 8);
}

inline uint16_t FinishChecksum(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

inline uint32_t Ipv4HeaderLength(const uint8_t* ip) { return (ip[0] & 15u) * 4; }

inline bool IsIpv4HeaderIntact(const uint8_t* ip) { return FinishChecksum(AddWords(0, ip, Ipv4HeaderLength(ip))) == 0; }

inline void RenewIpv4Checksum(uint8_t* ip) {
  StoreBig16(ip + 10, 0);
  StoreBig16(ip + 10, FinishChecksum(AddWords(0, ip, Ipv4HeaderLength(ip))));
}

// Of a packet that is to be forwarded: its time to live, or hop limit, is one less (RFC 1141 for the checksum).
inline void DecrementTtl(uint8_t* ip, uint8_t version) {
  if (version == 6) {
    --ip[7];
    return;
  }
  --ip[8];
  const uint32_t sum = LoadBig16(ip + 10) + 0x100u;
  StoreBig16(ip + 10, sum + (sum >> 16));
}

inline uint8_t TtlOf(const uint8_t* ip, uint8_t version) { return version == 6 ? ip[7] : ip[8]; }

// From the header on; what follows it in the frame is the link's padding.
inline uint32_t IpLength(const uint8_t* ip, uint8_t version) {
  return version == 6 ? kIpv6HeaderBytes + LoadBig16(ip + 4) : LoadBig16(ip + 2);
}

inline const uint8_t* SourceOf(const uint8_t* ip, uint8_t version) { return ip + (version == 6 ? 8 : 12); }
inline const uint8_t* DestinationOf(const uint8_t* ip, uint8_t version) { return ip + (version == 6 ? 24 : 16); }

}  // namespace sluice
