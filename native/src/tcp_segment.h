// One TCP segment as the tracker needs it, and arithmetic on sequence numbers, which wrap (RFC 9293, section 3.4).
#pragma once

#include <cstdint>

#include "record.h"
#include "wire.h"

namespace sluice {

inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpSyn = 0x02;
inline constexpr uint8_t kTcpRst = 0x04;
inline constexpr uint8_t kTcpPsh = 0x08;
inline constexpr uint8_t kTcpAck = 0x10;
inline constexpr uint8_t kTcpUrg = 0x20;

inline constexpr uint32_t kTcpHeaderBytes = 20;


inline bool IsBefore(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }
inline bool IsAfter(uint32_t a, uint32_t b) { return IsBefore(b, a); }
inline uint32_t Later(uint32_t a, uint32_t b) { return IsBefore(a, b) ? b : a; }

// A function that changes the length of what passes shifts the numbers of one direction, as the other side sees them:
// by direction, what was added to its sequence numbers, and so has to be taken from the acknowledgements of them.
struct TcpShifts {
  uint32_t of[2] = {0, 0};
};

struct TcpSegment {
  uint32_t seq;
  uint32_t end;      // seq and what the segment takes of the sequence space: payload, SYN, FIN
  uint32_t ack;      // meaningless without the flag
  uint32_t payload;  // bytes on the wire
  uint16_t window;   // as it stands in the header
  uint8_t flags;
  uint8_t options_bytes;
  const uint8_t* options;
  uint32_t ack_shift;  // taken from `ack`; numbers in `options` have it still

  bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

// Bytes of the IP packet on the wire, of which a capture may have cut some.
inline uint32_t IpPacketBytes(const Record& record, const uint8_t* ip) {
  return record.ip_version == 4 ? LoadBig16(ip + 2) : 40u + LoadBig16(ip + 4);
}

// Bytes behind the transport header, on the wire; of one fragment, if it is one.
inline uint32_t WirePayloadBytes(const Record& record, const uint8_t* bytes) {
  const uint32_t headers = static_cast<uint32_t>(record.payload_offset) - record.l3_offset;
  const uint32_t packet = IpPacketBytes(record, bytes + record.l3_offset);
  return packet > headers ? packet - headers : 0;
}

// `record` is sound and has a TCP header.
inline TcpSegment ReadTcpSegment(const Record& record, const uint8_t* bytes, uint32_t ack_shift = 0) {
  const uint8_t* tcp = bytes + record.l4_offset;
  const uint32_t seq = LoadBig32(tcp + 4), payload = WirePayloadBytes(record, bytes);
  const uint8_t flags = record.tcp_flags;
  const uint32_t controls = ((flags & kTcpSyn) != 0) + ((flags & kTcpFin) != 0);
  return {.seq = seq,
          .end = seq + payload + controls,
          .ack = LoadBig32(tcp + 8) - ack_shift,
          .payload = payload,
          .window = LoadBig16(tcp + 14),
          .flags = flags,
          .options_bytes = static_cast<uint8_t>(record.payload_offset - record.l4_offset - kTcpHeaderBytes),
          .options = tcp + kTcpHeaderBytes,
          .ack_shift = ack_shift};
}

}  // namespace sluice
