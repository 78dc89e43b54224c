// The keys that the flow bench looks up: made from their number, so that a batch of them is in the cache like one that
// was just parsed, whatever the number of flows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "flow_key.h"

namespace bench {

inline uint64_t Mix(uint64_t word) {
  word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
  word = (word ^ word >> 27) * 0x94d049bb133111eb;
  return word ^ word >> 31;
}

// A TCP connection over IPv4, another for each number.
inline sluice::FlowKey KeyOf(uint32_t number) {
  const uint64_t low = Mix(2 * uint64_t{number} + 1), high = Mix(2 * uint64_t{number} + 2);
  sluice::FlowKey key = {};
  std::memcpy(key.address[0], &low, 4);
  std::memcpy(key.address[1], &high, 4);
  key.port[0] = static_cast<uint16_t>(low >> 32);
  key.port[1] = static_cast<uint16_t>(number);
  key.zone = static_cast<uint16_t>(number >> 16);  // no two numbers have the same key
  key.ip_proto = 6;
  key.ip_version = 4;
  return key;
}

inline std::vector<uint32_t> Uniform(uint32_t count, uint32_t first, uint32_t flows, std::mt19937& random) {
  std::vector<uint32_t> numbers(count);
  for (uint32_t& number : numbers) number = first + random() % flows;
  return numbers;
}

// Flow r of an order that has nothing to do with that of their insertion is looked up r^-exponent times as often as the
// first.
inline std::vector<uint32_t> Zipf(uint32_t count, uint32_t flows, double exponent, std::mt19937& random) {
  std::vector<double> sums(flows);
  double sum = 0;
  for (uint32_t rank = 0; rank < flows; ++rank) sums[rank] = sum += std::pow(rank + 1.0, -exponent);
  std::vector<uint32_t> order(flows);
  for (uint32_t i = 0; i < flows; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  std::uniform_real_distribution<double> share(0, sum);
  std::vector<uint32_t> numbers(count);
  for (uint32_t& number : numbers) {
    const auto rank = std::upper_bound(sums.begin(), sums.end(), share(random)) - sums.begin();
    number = order[std::min<size_t>(rank, flows - 1)];
  }
  return numbers;
}

}  // namespace bench
