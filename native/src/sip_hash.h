// SipHash-1-3 (Aumasson, Bernstein) of whole 64-bit words: who does not know the seed cannot aim at a bucket.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "tuple_hash.h"

namespace sluice {

struct SipState {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1, v1 = std::rotl(v1, 13) ^ v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3, v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1, v1 = std::rotl(v1, 17) ^ v2, v2 = std::rotl(v2, 32);
  }

  void Absorb(uint64_t word) {
    v3 ^= word;
    Round();
    v0 ^= word;
  }
};

// `bytes` is a multiple of 8 long. The 128-bit key is drawn from `seed`.
inline uint64_t SipHash(std::span<const uint8_t> bytes, uint64_t seed) {
  const uint64_t k0 = seed, k1 = MixHash(seed ^ kHashMultiplierB);
  SipState state = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
  for (size_t at = 0; at < bytes.size(); at += 8) state.Absorb(LoadLittle64(bytes.data() + at));
  state.Absorb(uint64_t{bytes.size()} << 56);
  state.v2 ^= 0xff;
  for (int round = 0; round < 3; ++round) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace sluice
