// The ICMP errors that a router sends (RFC 792, RFC 1191, RFC 1812; RFC 4443): whether one is due, and its packet.
#pragma once

#include <cstdint>
#include <span>

#include "forwarding.h"

namespace sluice {

enum class IcmpError : uint8_t {
  kTtlExceeded,
  kPacketTooBig,  // value: the next link's MTU
  kNoRoute,
  kHostUnreachable,
  kProhibited,
};

// What an error may quote of a packet: no error is longer than 576 bytes (IPv4) or 1280 (IPv6).
inline constexpr uint32_t kQuoteBytes4 = 548;
inline constexpr uint32_t kQuoteBytes6 = 1232;
inline constexpr uint32_t kIcmpErrorBytesMax = 1280;

// Never about errors, groups, senders that are nobody, or later fragments (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
// `packet`: from the IP header on, what is there of it.
bool DeservesIcmpError(std::span<const uint8_t> packet, uint8_t version);

// Writes the whole IP packet from `source` (of the packet's family) to the packet's sender; returns its bytes.
uint32_t WriteIcmpError(std::span<const uint8_t> packet, uint8_t version, IcmpError error, uint32_t value,
                        const AddressBytes& source, uint8_t* out);

}  // namespace sluice
