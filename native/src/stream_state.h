// What is known of one flow's streams between its frames. Part of stream_table.cc.
#pragma once

#include <cstdint>

#include "stream_table.h"

namespace sluice {

// Sequence numbers wrap: positive if `to` is ahead of `from` (RFC 9293, section 3.4).
inline int32_t Distance(uint32_t from, uint32_t to) { return static_cast<int32_t>(to - from); }

// Within kStreamReach of each other.
inline bool IsNear(uint32_t from, uint32_t to) {
  const int64_t distance = Distance(from, to);
  return distance <= int64_t{kStreamReach} && -distance <= int64_t{kStreamReach};
}

inline bool IsAhead(uint32_t from, uint32_t to) { return Distance(from, to) >= 0 && IsNear(from, to); }

// Bytes that are not in their frame, if nobody knows how many: more than any segment has.
inline constexpr uint16_t kLostUnknown = 0xffff;

// Payload in a frame, by sequence number.
struct Payload {
  uint32_t sequence;
  uint32_t length;
  const uint8_t* data;
  uint32_t umem_offset;

  uint32_t end() const { return sequence + length; }

  Payload First(uint32_t bytes) const { return {sequence, bytes, data, umem_offset}; }
  Payload From(uint32_t bytes) const { return {sequence + bytes, length - bytes, data + bytes, umem_offset + bytes}; }
};

inline constexpr uint8_t kStreamOpen = 1;     // `next` is valid
inline constexpr uint8_t kStreamStart = 2;    // the next chunk reports the start
inline constexpr uint8_t kStreamFin = 4;      // `fin` is valid, the end is not reported yet
inline constexpr uint8_t kStreamReset = 8;    // nothing more will come, the end is not reported yet
inline constexpr uint8_t kStreamEnded = 16;   // the end is reported
inline constexpr uint8_t kStreamGiveUp = 32;  // the hole at `next` is not waited for

// One direction. Zero for a new flow.
struct StreamState {
  uint64_t offset;        // in the stream, of the byte expected next; of datagrams, their number
  uint32_t next;          // sequence number of that byte
  uint32_t acknowledged;  // by the other side, last
  uint32_t fin;           // sequence number of the FIN
  uint32_t tail;          // of the circular list of blocks that wait, 0 for none
  uint32_t missing_ms;    // since when bytes at `next` are known to be missing, though none wait; 0: they are not
  uint16_t lost;          // so many bytes from `next` on were cut from their frame, or kLostUnknown
  uint8_t flags;
  bool has_acknowledged;

  // Whether a segment with this number is the next in order, and there is nothing else to say about it.
  bool expects(uint32_t sequence) const { return sequence == next && flags == kStreamOpen && lost == 0; }
  // Nothing to report before the direction's next segment.
  bool quiet() const { return tail == 0 && (flags & (kStreamStart | kStreamFin | kStreamReset)) == 0; }
};

struct alignas(64) FlowStreams {
  StreamState sides[2];
};
static_assert(sizeof(FlowStreams) == 64);

}  // namespace sluice
