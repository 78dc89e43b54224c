// What one TCP frame means for its connection's streams. Part of stream_table.cc.
#pragma once

#include <cstdint>

#include "stream_state.h"
#include "tcp_segment.h"

namespace sluice {

struct StreamSegment {
  Payload payload;
  uint32_t acknowledgement;  // meaningless without the flag
  uint16_t lost;             // bytes behind the payload that are not in the frame, or kLostUnknown
  uint8_t flags;

  bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

// `record` is sound and has a TCP header; a fragment is the first of its packet.
inline StreamSegment ReadStreamSegment(const Record& record, const uint8_t* bytes, uint32_t umem_offset) {
  const TcpSegment segment = ReadTcpSegment(record, bytes);
  const uint32_t place = record.payload_offset, present = record.payload_length;
  const Payload payload = {segment.seq, present, bytes + place, umem_offset + place};
  if ((record.flags & abi::kRecordFlagFragment) == 0) {
    const auto lost = static_cast<uint16_t>(segment.payload > present ? segment.payload - present : 0);
    return {payload, segment.ack, lost, segment.flags};
  }
  // Nobody knows how much follows, and so where a FIN would be.
  return {payload, segment.ack, kLostUnknown, static_cast<uint8_t>(segment.flags & ~kTcpFin)};
}

// Whether a RST can be meant for this connection, as far as its streams tell (RFC 5961, section 3.2 is the tracker's).
inline bool IsSoundReset(const StreamState& side, const StreamState& other, const StreamSegment& segment) {
  const uint32_t sequence = segment.payload.sequence;
  if (side.has_acknowledged && sequence == side.acknowledged) return true;
  if ((side.flags & kStreamOpen) != 0) return IsAhead(side.next, sequence);
  if (side.has_acknowledged) return IsAhead(side.acknowledged, sequence);
  const bool answers = segment.has(kTcpAck) && (other.flags & kStreamOpen) != 0;
  return !answers || IsNear(other.next, segment.acknowledgement);
}

}  // namespace sluice
