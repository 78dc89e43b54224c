// The hash of Record::hash: symmetric, unkeyed, the same in every lane, run and language (nfs/sdk/ABI.md, section 4).
#pragma once

#include <cstdint>

#include "wire.h"

namespace sluice {

// Fragments carry this instead of their protocol, so that the first, which has ports and perhaps more extension
// headers, hashes like the rest.
inline constexpr uint8_t kFragmentHashProto = 44;

inline constexpr uint64_t kHashMultiplierA = 0x9e3779b97f4a7c15;
inline constexpr uint64_t kHashMultiplierB = 0xd6e8feb86659fd93;

inline uint64_t MixHash(uint64_t word) {
  word *= kHashMultiplierA;
  word ^= word >> 32;
  return word * kHashMultiplierB;
}

// One end of a conversation: address as it lies in the header, port in host order.
inline uint64_t HashEndpoint4(const uint8_t* address, uint16_t port) {
  return MixHash(uint64_t{LoadLittle32(address)} << 16 | port);
}

inline uint64_t HashEndpoint6(const uint8_t* address, uint16_t port) {
  return MixHash(MixHash(LoadLittle64(address) + port * kHashMultiplierB) + LoadLittle64(address + 8));
}

// A sum, so that both directions agree; not an exclusive or, which would make all pairs of equal ends one.
inline uint32_t HashPair(uint64_t source, uint64_t destination, uint8_t proto) {
  const uint64_t sum = source + destination + proto;
  return static_cast<uint32_t>(((sum ^ sum >> 32) * kHashMultiplierA) >> 32);
}

}  // namespace sluice
