#include "tcp_options.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr uint8_t kOptionEnd = 0;
constexpr uint8_t kOptionPadding = 1;
constexpr uint8_t kOptionWindowScale = 3;
constexpr uint8_t kOptionSack = 5;
constexpr uint8_t kOptionTimestamps = 8;

// The first option of that kind: its length byte, or null. All of the option is there.
const uint8_t* Find(const TcpSegment& segment, uint8_t kind) {
  const uint8_t* at = segment.options;
  const uint8_t* const end = at + segment.options_bytes;
  while (at < end && *at != kOptionEnd) {
    if (*at == kOptionPadding) {
      ++at;
      continue;
    }
    if (end - at < 2 || at[1] < 2 || at[1] > end - at) return nullptr;
    if (*at == kind) return at + 1;
    at += at[1];
  }
  return nullptr;
}

}  // namespace

bool ReadWindowScale(const TcpSegment& segment, uint8_t* scale) {
  const uint8_t* option = Find(segment, kOptionWindowScale);
  if (option == nullptr || *option != 3) return false;
  *scale = std::min(option[1], kWindowScaleLimit);
  return true;
}

uint32_t ReadSackEdge(const TcpSegment& segment, uint32_t limit) {
  const uint8_t* option = Find(segment, kOptionSack);
  uint32_t edge = segment.ack;
  if (option == nullptr) return edge;
  for (uint32_t at = 2; at + 8 <= *option; at += 8) {
    const uint32_t right = LoadBig32(option - 1 + at + 4) - segment.ack_shift;
    if (!IsAfter(right, limit)) edge = Later(edge, right);
  }
  return edge;
}

bool FindTimestamps(const TcpSegment& segment, uint32_t* value, uint32_t* echo) {
  const uint8_t* option = Find(segment, kOptionTimestamps);
  if (option == nullptr || *option != 10) return false;
  *value = LoadBig32(option + 1);
  *echo = LoadBig32(option + 5);
  return true;
}

}  // namespace sluice
