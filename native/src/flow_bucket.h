// One cache line of the flow index: twelve tuples by an 8-bit tag of their hash, and a link to more.
#pragma once

#include <emmintrin.h>

#include <cstdint>

namespace sluice {

struct alignas(64) FlowBucket {
  static constexpr uint32_t kSlots = 12;
  static constexpr uint32_t kAllSlots = (1u << kSlots) - 1;

  uint8_t tag[kSlots];  // 0: the slot is free
  uint32_t next;        // number of the bucket that goes on where this one is full, 0 for none
  uint32_t tuple[kSlots];

  // Bit s is set where slot s has this tag.
  uint32_t Match(uint8_t wanted) const {
    const __m128i head = _mm_load_si128(reinterpret_cast<const __m128i*>(tag));
    const __m128i equal = _mm_cmpeq_epi8(head, _mm_set1_epi8(static_cast<char>(wanted)));
    return static_cast<uint32_t>(_mm_movemask_epi8(equal)) & kAllSlots;
  }
  uint32_t Free() const { return Match(0); }
  uint32_t Taken() const { return ~Free() & kAllSlots; }

  void Put(uint32_t slot, uint8_t new_tag, uint32_t new_tuple) {
    tag[slot] = new_tag;
    tuple[slot] = new_tuple;
  }
};
static_assert(sizeof(FlowBucket) == 64);

}  // namespace sluice
