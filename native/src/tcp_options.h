// The TCP options that matter to a bystander: window scale and timestamps (RFC 7323), selective acknowledgements
// (RFC 2018). What is broken is as if it were not there.
#pragma once

#include <cstdint>

#include "tcp_segment.h"

namespace sluice {

inline constexpr uint8_t kWindowScaleLimit = 14;  // RFC 7323, section 2.3

// Whether the segment has a window scale option, which has a meaning on a SYN only; more than the limit is the limit.
bool ReadWindowScale(const TcpSegment& segment, uint8_t* scale);

// The highest right edge among the selectively acknowledged blocks that lie beyond `segment.ack`, but not beyond
// `limit`; `segment.ack` if there is none.
uint32_t ReadSackEdge(const TcpSegment& segment, uint32_t limit);

bool FindTimestamps(const TcpSegment& segment, uint32_t* value, uint32_t* echo);

// All that most segments have as options: two bytes of padding and timestamps (RFC 7323, appendix A).
inline bool HasOnlyTimestamps(const TcpSegment& segment) {
  return segment.options_bytes == 12 && LoadBig32(segment.options) == 0x0101080a;
}

inline bool ReadTimestamps(const TcpSegment& segment, uint32_t* value, uint32_t* echo) {
  if (!HasOnlyTimestamps(segment)) return segment.options_bytes != 0 && FindTimestamps(segment, value, echo);
  *value = LoadBig32(segment.options + 4);
  *echo = LoadBig32(segment.options + 8);
  return true;
}

}  // namespace sluice
