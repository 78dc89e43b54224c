#include "link_header.h"

#include "abi.h"

namespace sluice {

namespace {

constexpr uint32_t kNullHeaderBytes = 4;
constexpr uint32_t kSllHeaderBytes = 16;
constexpr uint32_t kSllProtocolOffset = 14;
constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;

// NULL's address families differ between systems (IPv6 is 10, 24, 28 or 30) and byte orders; the packet's own version
// is the same everywhere.
uint16_t EtherTypeOfIp(std::span<const uint8_t> packet) {
  switch (packet.empty() ? 0 : packet[0] >> 4) {
    case 4:
      return kEtherTypeIpv4;
    case 6:
      return kEtherTypeIpv6;
    default:
      return kEtherTypeUnknown;
  }
}

}  // namespace

LinkHeader ReadLinkHeader(std::span<const uint8_t> frame, uint8_t link) {
  if (link == abi::kLinkNull && frame.size() >= kNullHeaderBytes) {
    return {kNullHeaderBytes, EtherTypeOfIp(frame.subspan(kNullHeaderBytes))};
  }
  if (link == abi::kLinkSll && frame.size() >= kSllHeaderBytes) {
    const uint8_t* protocol = frame.data() + kSllProtocolOffset;
    return {kSllHeaderBytes, static_cast<uint16_t>(protocol[0] << 8 | protocol[1])};
  }
  if (link == abi::kLinkRaw) return {0, EtherTypeOfIp(frame)};
  return {0, kEtherTypeUnknown};
}

}  // namespace sluice
