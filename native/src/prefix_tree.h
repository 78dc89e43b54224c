// Longest-prefix match over addresses of 4 or 16 bytes: 16 bits at once, then 8 at a time. Built once, then only read.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace sluice {

// An address in network order; IPv4 fills the first 4 bytes.
using AddressBytes = std::array<uint8_t, 16>;

class PrefixTree {
 public:
  struct Prefix {
    AddressBytes address;
    uint8_t length;  // bits
    uint32_t value;  // below 2^31
  };
  static constexpr uint32_t kNone = 0x7fffffff;

  PrefixTree() : PrefixTree(std::vector<Prefix>()) {}
  // Of prefixes that are the same, the last one counts. Bits behind a prefix's length are ignored.
  explicit PrefixTree(std::vector<Prefix> prefixes);

  // The value of the longest prefix that has the address, or kNone.
  uint32_t Find(const uint8_t* address) const {
    uint32_t entry = entries_[static_cast<uint32_t>(address[0]) << 8 | address[1]];
    for (uint32_t byte = 2; entry & kChild; ++byte) entry = entries_[(entry & ~kChild) + address[byte]];
    return entry;
  }

 private:
  static constexpr uint32_t kChild = 0x80000000;  // the rest is the index of 256 entries
  static constexpr uint32_t kRootBits = 16;

  void Insert(const Prefix& prefix);
  uint32_t ChildOf(uint32_t entry);

  std::vector<uint32_t> entries_;
};

}  // namespace sluice
