// What stands before the network header in a captured frame.
#pragma once

#include <cstdint>
#include <span>

namespace sluice {

inline constexpr uint32_t kEthernetHeaderBytes = 14;
// Reserved (RFC 1701): the ethertype of what has none.
inline constexpr uint16_t kEtherTypeUnknown = 0xffff;

struct LinkHeader {
  uint32_t bytes;       // 0 for raw IP, and for a frame too short for its header
  uint16_t ether_type;  // host order
};

// Reads the header of `link` (abi::kLink*; not Ethernet) at the start of `frame`, which may be of any length.
LinkHeader ReadLinkHeader(std::span<const uint8_t> frame, uint8_t link);

}  // namespace sluice
