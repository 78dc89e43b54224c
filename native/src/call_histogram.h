// How long calls of functions took per frame, and how many frames they had (layout::kCallCounters).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "layout.h"

namespace sluice {

class CallHistogram {
 public:
  explicit CallHistogram(double tick_hz) : units_per_tick_(1e9 * kUnits / tick_hz) {}

  void Add(uint64_t* counters, uint64_t ticks, uint32_t frames) const {
    if (frames == 0) return;
    counters[TimeBucket(ticks, frames)] += frames;
    counters[layout::kCallTimeBuckets + SizeBucket(frames)] += 1;
  }

  // The first bucket whose bound, a power of two, is not below `frames`.
  static uint32_t SizeBucket(uint32_t frames) {
    return std::min<uint32_t>(std::bit_width(frames - 1), layout::kCallSizeBuckets - 1);
  }

 private:
  // Parts of a nanosecond that are told apart.
  static constexpr double kUnits = 256;
  static constexpr int kFirstBoundBits = 2 + 8;  // 4 ns

  uint32_t TimeBucket(uint64_t ticks, uint32_t frames) const {
    const auto units = static_cast<uint64_t>(static_cast<double>(ticks) * units_per_tick_ / frames);
    const int above = std::bit_width(std::max<uint64_t>(units, 1) - 1) - kFirstBoundBits;
    return static_cast<uint32_t>(std::clamp<int>(above, 0, layout::kCallTimeBuckets - 1));
  }

  const double units_per_tick_;
};

}  // namespace sluice
