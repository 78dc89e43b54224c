// The keyed hash of flow keys: who does not know the seed cannot choose keys that collide.
#pragma once

#include <cstdint>
#include <cstring>

#include "flow_key.h"

namespace sluice {

// NH (Black et al., UMAC, 1999) over the key's six words: two different keys have the same 128-bit sum with a
// probability of 2^-64 over the seeds. A product with two further secrets and a finaliser make 64 good bits of it.
class FlowHash {
 public:
  explicit FlowHash(uint64_t seed) {
    for (uint64_t& secret : secrets_) secret = NextSecret(seed);
  }

  uint64_t operator()(const FlowKey& key) const {
    uint64_t word[6];
    std::memcpy(word, &key, sizeof(word));
    Wide sum = Multiply(word[0] + secrets_[0], word[1] + secrets_[1]);
    sum += Multiply(word[2] + secrets_[2], word[3] + secrets_[3]);
    sum += Multiply(word[4] + secrets_[4], word[5] + secrets_[5]);
    const Wide product = Multiply(Low(sum) + secrets_[6], High(sum) + secrets_[7]);
    uint64_t hash = Low(product) ^ High(product);
    hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93;
    return hash ^ hash >> 32;
  }

 private:
  using Wide = unsigned __int128;

  static Wide Multiply(uint64_t a, uint64_t b) { return static_cast<Wide>(a) * b; }
  static uint64_t Low(Wide value) { return static_cast<uint64_t>(value); }
  static uint64_t High(Wide value) { return static_cast<uint64_t>(value >> 64); }

  // SplitMix64 (Steele, Lea, Flood, 2014).
  static uint64_t NextSecret(uint64_t& state) {
    uint64_t word = state += 0x9e3779b97f4a7c15;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
  }

  uint64_t secrets_[8];
};
static_assert(sizeof(FlowKey) == 6 * sizeof(uint64_t));

}  // namespace sluice
