// TCP, UDP, ICMP, ICMPv6, SCTP and GRE. Part of parser.cc, in a file of its own to be read alone.
#pragma once

#include <algorithm>

#include "record.h"
#include "wire.h"

namespace sluice {

inline constexpr uint8_t kProtoHopByHop = 0;
inline constexpr uint8_t kProtoIcmp = 1;
inline constexpr uint8_t kProtoIpv4 = 4;
inline constexpr uint8_t kProtoTcp = 6;
inline constexpr uint8_t kProtoUdp = 17;
inline constexpr uint8_t kProtoIpv6 = 41;
inline constexpr uint8_t kProtoRouting = 43;
inline constexpr uint8_t kProtoFragment = 44;
inline constexpr uint8_t kProtoGre = 47;
inline constexpr uint8_t kProtoAuthentication = 51;
inline constexpr uint8_t kProtoIcmpv6 = 58;
inline constexpr uint8_t kProtoDestination = 60;
inline constexpr uint8_t kProtoSctp = 132;

inline constexpr uint16_t kPortVxlan = 4789;

// A part of an IP packet, as offsets from the frame's start. start <= end <= wire_end and end <= Record::length always;
// it is shorter than 64 KiB because the IP header's own length field is.
struct Extent {
  uint32_t start;
  uint32_t end;       // of what is present
  uint32_t wire_end;  // of what the packet says it has; beyond `end` only if the capture cut the frame

  uint32_t present() const { return end - start; }
  uint32_t wire() const { return wire_end - start; }
  Extent From(uint32_t bytes) const { return {start + bytes, end, wire_end}; }
};

// Every Parse… function says whether what it parsed is sound: `return Fault(…)` ends the parse with false.
inline bool Fault(Record& record, uint32_t malformed) {
  record.malformed = static_cast<uint8_t>(malformed);
  return false;
}

inline bool NotePayload(Record& record, const Extent& payload) {
  record.payload_offset = static_cast<uint16_t>(payload.start);
  record.payload_length = static_cast<uint16_t>(payload.present());
  return true;
}

inline void NotePorts(Record& record, const uint8_t* header, uint32_t offset) {
  record.l4_offset = static_cast<uint16_t>(offset);
  record.source_port = LoadBig16(header);
  record.destination_port = LoadBig16(header + 2);
}

inline bool ParseTcp(const uint8_t* bytes, const Extent& segment, Record& record) {
  if (segment.present() < 20) return Fault(record, abi::kMalformedTcpShort);
  const uint8_t* tcp = bytes + segment.start;
  NotePorts(record, tcp, segment.start);
  record.tcp_flags = tcp[13];
  const uint32_t header = (tcp[12] >> 4) * 4u;
  if (header < 20 || header > segment.wire()) return Fault(record, abi::kMalformedTcpOffset);
  if (header > segment.present()) return Fault(record, abi::kMalformedTcpShort);
  return NotePayload(record, segment.From(header));
}

// RFC 7348, section 5: the VNI is valid only with the I bit.
inline bool CarriesVxlan(const uint8_t* bytes, const Extent& payload, const Record& record) {
  return record.destination_port == kPortVxlan && payload.present() >= 8 && (bytes[payload.start] & 0x08) != 0;
}

// A first fragment's length is that of the whole datagram, so only its lower bound can be checked.
inline bool ParseUdp(const uint8_t* bytes, const Extent& datagram, Record& record) {
  if (datagram.present() < 8) return Fault(record, abi::kMalformedUdpShort);
  const uint8_t* udp = bytes + datagram.start;
  NotePorts(record, udp, datagram.start);
  const uint32_t length = LoadBig16(udp + 4);
  const bool fragment = (record.flags & abi::kRecordFlagFragment) != 0;
  if (length < 8 || (length > datagram.wire() && !fragment)) return Fault(record, abi::kMalformedUdpLength);
  const uint32_t end = std::min(datagram.end, datagram.start + length);
  const Extent payload = {datagram.start + 8, end, end};
  if (CarriesVxlan(bytes, payload, record)) record.tunnel = abi::kTunnelVxlan;
  return NotePayload(record, payload);
}

inline bool IsEcho(uint8_t proto, uint8_t type) {
  return proto == kProtoIcmp ? type == 0 || type == 8 : type == 128 || type == 129;
}

inline bool ParseIcmp(const uint8_t* bytes, const Extent& message, Record& record) {
  if (message.present() < 8) return Fault(record, abi::kMalformedIcmpShort);
  const uint8_t* icmp = bytes + message.start;
  record.l4_offset = static_cast<uint16_t>(message.start);
  record.source_port = LoadBig16(icmp);
  if (IsEcho(record.ip_proto, icmp[0])) record.destination_port = LoadBig16(icmp + 4);
  return NotePayload(record, message.From(8));
}

inline bool ParseSctp(const uint8_t* bytes, const Extent& packet, Record& record) {
  if (packet.present() < 12) return Fault(record, abi::kMalformedSctpShort);
  NotePorts(record, bytes + packet.start, packet.start);
  return NotePayload(record, packet.From(12));
}

// RFC 2784 and 2890 (version 0), RFC 2637 (version 1, which adds an acknowledgement number).
inline uint32_t GreHeaderBytes(uint16_t flags) {
  const bool checksum = (flags & 0xc000) != 0, key = (flags & 0x2000) != 0, sequence = (flags & 0x1000) != 0;
  const bool acknowledgement = (flags & 0x0087) == 0x0081;
  return 4 + 4 * (uint32_t{checksum} + uint32_t{key} + uint32_t{sequence} + uint32_t{acknowledgement});
}

inline bool ParseGre(const uint8_t* bytes, const Extent& packet, Record& record) {
  if (packet.present() < 4) return Fault(record, abi::kMalformedGreShort);
  record.l4_offset = static_cast<uint16_t>(packet.start);
  record.tunnel = abi::kTunnelGre;
  const uint32_t header = GreHeaderBytes(LoadBig16(bytes + packet.start));
  if (packet.present() < header) return Fault(record, abi::kMalformedGreShort);
  return NotePayload(record, packet.From(header));
}

// `data` begins at the transport header. A protocol that is not parsed has payload only.
inline bool ParseTransport(const uint8_t* bytes, const Extent& data, Record& record) {
  const uint8_t proto = record.ip_proto;
  if (proto == kProtoTcp) return ParseTcp(bytes, data, record);
  if (proto == kProtoUdp) return ParseUdp(bytes, data, record);
  if (proto == kProtoIcmp || proto == kProtoIcmpv6) return ParseIcmp(bytes, data, record);
  if (proto == kProtoSctp) return ParseSctp(bytes, data, record);
  if (proto == kProtoGre) return ParseGre(bytes, data, record);
  if (proto == kProtoIpv4 || proto == kProtoIpv6) record.tunnel = abi::kTunnelIp;
  return NotePayload(record, data);
}

}  // namespace sluice
