#include "prefix_tree.h"

#include <algorithm>

namespace sluice {

PrefixTree::PrefixTree(std::vector<Prefix> prefixes) : entries_(1u << kRootBits, kNone) {
  // Whatever is shorter is there before what overrides a part of it.
  std::ranges::stable_sort(prefixes, {}, &Prefix::length);
  for (const Prefix& prefix : prefixes) Insert(prefix);
}

// The index of the entry's 256 children, which begin with its value.
uint32_t PrefixTree::ChildOf(uint32_t entry) {
  if (entries_[entry] & kChild) return entries_[entry] & ~kChild;
  const auto child = static_cast<uint32_t>(entries_.size());
  const uint32_t value = entries_[entry];
  entries_.resize(child + 256, value);
  entries_[entry] = kChild | child;
  return child;
}

void PrefixTree::Insert(const Prefix& prefix) {
  const AddressBytes& address = prefix.address;
  uint32_t first = static_cast<uint32_t>(address[0]) << 8 | address[1];
  uint32_t bits = kRootBits;
  while (prefix.length > bits) {
    first = ChildOf(first) + address[bits / 8];
    bits += 8;
  }
  const uint32_t count = 1u << (bits - prefix.length);
  first &= ~(count - 1);
  std::fill_n(entries_.begin() + first, count, prefix.value);
}

}  // namespace sluice
