#include "twin_firewall.h"

namespace sluice::twin {
namespace {

/** IPv4 addresses among IPv6 ones: ::ffff:0:0/96. */
constexpr uint64_t kMapped = 0xffff00000000;

}  // namespace

uint32_t ZonesTwin::Ingress(const Record& record) const {
  const uint32_t by_vlan = record.vlan_count != 0 ? of_vlan_[record.outer_tci & 0xfff] : 0;
  return by_vlan != 0 ? by_vlan : of_port_[record.port];
}

uint32_t ZonesTwin::Egress(const Record& record, uint32_t destination) const {
  const uint32_t zone = Of(destination);
  return zone != 0 ? zone : leaves_to_[record.port];
}

bool ZonesTwin::IsSpoofed(uint32_t source, uint32_t ingress) const {
  const uint32_t zone = Of(source);
  if (ingress == 0 || source == 0) return false;
  return zone != 0 ? zone != ingress : has_prefixes_[ingress] != 0;
}

uint32_t ZonesTwin::Of(uint32_t address) const {
  const uint64_t low = kMapped | address;
  uint32_t first = 0;
  uint32_t count = range_count_;
  // The last range that starts at or below the address.
  while (count > 1) {
    const uint32_t half = count >> 1;
    const uint32_t middle = first + half;
    if (starts_high_[middle] != 0 || low < starts_low_[middle]) {
      count = half;
    } else {
      first = middle;
      count -= half;
    }
  }
  return range_zones_[first];
}

}  // namespace sluice::twin
