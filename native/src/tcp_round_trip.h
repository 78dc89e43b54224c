// Round-trip time past a bystander: from a segment to its answer by one side, and from there to the other's answer.
// One segment per side is timed at a time: by its timestamp, which the answer echoes (RFC 7323, section 4), or by its
// sequence number, and then not if anything is sent twice (Karn's algorithm; RFC 6298, section 3). A SYN's timestamps
// may go unanswered, so it is its number.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tcp_connection.h"
#include "tcp_options.h"

namespace sluice {

inline uint32_t Microseconds(uint64_t now_ns) { return static_cast<uint32_t>(now_ns / 1000); }

// `segment` is of `side` and brings something that has to be answered.
inline void StartTiming(TcpSide& side, TcpTraits& traits, const TcpSegment& segment, uint64_t now_ns) {
  uint32_t value = 0, echo;
  const bool timestamps = !segment.has(kTcpSyn) && ReadTimestamps(segment, &value, &echo);
  side.timed = timestamps ? value : segment.end;
  side.timed_at_us = Microseconds(now_ns);
  traits.timing = 1;
  traits.timing_value = timestamps;
}

// The side sends something again.
inline void DistrustTiming(TcpTraits& traits) { traits.timing &= traits.timing_value; }

// RFC 6298, section 2, one eighth of the difference.
inline uint32_t Smoothed(uint32_t before, uint32_t sample) {
  sample = std::max(sample, 1u);
  return before == 0 ? sample : before - before / 8 + sample / 8;
}

// `segment` acknowledges something of `timed`, which is being timed. True if it was the answer.
inline bool StopTiming(TcpSide& timed, TcpTraits& traits, const TcpSegment& segment, uint64_t now_ns) {
  uint32_t answer = segment.ack, value;
  const bool answers = !traits.timing_value || ReadTimestamps(segment, &value, &answer);
  if (answers && IsBefore(answer, timed.timed)) return false;
  traits.timing = 0;
  if (!answers || (traits.timing_value && answer != timed.timed)) return false;  // the answer to a later one
  timed.response_us = Smoothed(timed.response_us, Microseconds(now_ns) - timed.timed_at_us);
  return true;
}

inline uint32_t RoundTrip(const TcpConnection& connection) {
  return connection.sides[0].response_us + connection.sides[1].response_us;
}

}  // namespace sluice
