// Loads from packet bytes: unaligned, network order unless the name says otherwise.
#pragma once

#include <cstdint>
#include <cstring>

namespace sluice {

inline uint16_t LoadBig16(const uint8_t* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof(value));
  return static_cast<uint16_t>(__builtin_bswap32(value) >> 16);  // a 16-bit swap would go through the stack
}

inline uint32_t LoadBig32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return __builtin_bswap32(value);
}

inline uint32_t LoadLittle32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

inline uint64_t LoadLittle64(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

}  // namespace sluice
