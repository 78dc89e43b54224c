// A set of flow numbers that gives its lowest one at once: bits, and above them bits for words that are not empty.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace sluice {

class FlowSet {
 public:
  // Numbers 0 … limit - 1.
  explicit FlowSet(uint32_t limit) {
    do {
      limit = (limit + 63) / 64;
      levels_.emplace_back(limit);
    } while (limit > 1);
  }

  bool empty() const { return levels_.back()[0] == 0; }

  void Add(uint32_t number) {
    for (std::vector<uint64_t>& level : levels_) {
      level[number / 64] |= uint64_t{1} << number % 64;
      number /= 64;
    }
  }

  void Remove(uint32_t number) {
    for (std::vector<uint64_t>& level : levels_) {
      uint64_t& word = level[number / 64];
      word &= ~(uint64_t{1} << number % 64);
      if (word != 0) return;
      number /= 64;
    }
  }

  // The set must not be empty.
  uint32_t Lowest() const {
    uint32_t number = 0;
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
      number = number * 64 + std::countr_zero((*level)[number]);
    }
    return number;
  }

 private:
  std::vector<std::vector<uint64_t>> levels_;  // the last is one word
};

}  // namespace sluice
