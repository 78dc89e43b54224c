#include "flow_frames.h"

#include <cstring>

namespace sluice {
namespace {

constexpr uint8_t kProtos[] = {6, 6, 6, 17, 17, 1, 58, 132, 50};

void PutBig(uint8_t* at, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) at[i] = static_cast<uint8_t>(value >> (8 * (bytes - 1 - i)));
}

struct Host {
  uint8_t bytes[16];
};

Host HostOf(uint32_t version, uint32_t number) {
  Host host = {{10, 0, 0, static_cast<uint8_t>(1 + number)}};
  if (version == 6) host = {{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(1 + number)}};
  return host;
}

}  // namespace

uint32_t VersionOf(const FlowStep& step) { return step.ends & 1 ? 6 : 4; }

Endpoints EndpointsOf(const FlowStep& step) {
  Endpoints ends = {};
  const Host source = HostOf(VersionOf(step), step.ends >> 1 & 1),
             destination = HostOf(VersionOf(step), step.ends >> 2 & 1);
  std::memcpy(ends.source, source.bytes, sizeof(ends.source));
  std::memcpy(ends.destination, destination.bytes, sizeof(ends.destination));
  ends.source_port = 1 + (step.ends >> 3 & 7);
  ends.destination_port = 1 + (step.ends >> 6 & 3);
  return ends;
}

namespace {

std::vector<uint8_t> TransportOf(const FlowStep& step, uint8_t ip_proto, uint32_t depth);

// From the network header on.
std::vector<uint8_t> PacketOf(const FlowStep& step, uint8_t ip_proto, uint32_t depth) {
  static constexpr struct {
    uint16_t offset, bytes;
    bool more;
  } kPieces[] = {{0, 24, true}, {24, 8, true}, {32, 16, false}, {24, 24, false}, {16, 16, true}, {0, 48, false}};
  const uint32_t version = VersionOf(step);
  const bool fragmented = depth == 0 && step.fragment % 4 == 3;
  const auto& piece = kPieces[step.fragment / 4 % 6];
  const uint32_t identification = step.fragment / 32;
  std::vector<uint8_t> data = TransportOf(step, ip_proto, depth);
  if (fragmented) {
    if (piece.offset > 0) data.assign(piece.bytes, 0xf7);
    data.resize(piece.bytes);
  }
  std::vector<uint8_t> packet(version == 4 ? 20 : fragmented ? 48 : 40);
  const uint32_t total = static_cast<uint32_t>(packet.size() + data.size());
  const Endpoints ends = EndpointsOf(step);
  packet[0] = static_cast<uint8_t>(version << 4 | 5);
  if (version == 4) {
    PutBig(&packet[2], total, 2);
    if (fragmented) {
      PutBig(&packet[4], identification, 2);
      PutBig(&packet[6], (piece.more ? 0x2000u : 0u) | piece.offset / 8u, 2);
    }
    packet[8] = 64;
    packet[9] = ip_proto;
    std::memcpy(&packet[12], ends.source, 4);
    std::memcpy(&packet[16], ends.destination, 4);
  } else {
    PutBig(&packet[4], total - 40, 2);
    packet[6] = fragmented ? 44 : ip_proto;
    std::memcpy(&packet[8], ends.source, 16);
    std::memcpy(&packet[24], ends.destination, 16);
    if (fragmented) {
      packet[40] = ip_proto;
      PutBig(&packet[42], piece.offset | (piece.more ? 1u : 0u), 2);
      PutBig(&packet[44], identification, 4);
    }
  }
  packet.insert(packet.end(), data.begin(), data.end());
  return packet;
}

std::vector<uint8_t> TransportOf(const FlowStep& step, uint8_t ip_proto, uint32_t depth) {
  static constexpr uint8_t kErrors[] = {3, 11, 4, 5}, kErrors6[] = {1, 3, 2, 4};
  const Endpoints ends = EndpointsOf(step);
  const uint32_t payload = step.payload & 0x80 ? (step.payload & 0x7f) * 10u : step.payload;
  std::vector<uint8_t> bytes(ip_proto == 6 ? 20 : ip_proto == 132 ? 12 : ip_proto == 50 ? 0 : 8);
  if (ip_proto == 6 || ip_proto == 17 || ip_proto == 132) {
    PutBig(&bytes[0], ends.source_port, 2);
    PutBig(&bytes[2], ends.destination_port, 2);
  }
  if (ip_proto == 6) {
    PutBig(&bytes[4], static_cast<uint32_t>(step.seq) * (step.flags & 0x80 ? 100u : 1u), 4);
    PutBig(&bytes[8], static_cast<uint32_t>(step.ack) * (step.flags & 0x80 ? 100u : 1u), 4);
    bytes[12] = 0x50;
    bytes[13] = step.flags & 0x3f;
    PutBig(&bytes[14], 0x7fff, 2);
  }
  if (ip_proto == 17) PutBig(&bytes[4], 8 + payload, 2);
  if (ip_proto == 1 || ip_proto == 58) {
    const bool error = depth == 0 && step.flags % 2 == 1;
    const uint8_t echo = static_cast<uint8_t>((ip_proto == 1 ? 0 : 128) + (step.flags & 2 ? 0 : ip_proto == 1 ? 8 : 1));
    bytes[0] = error ? (ip_proto == 1 ? kErrors : kErrors6)[step.flags / 2 % 4] : echo;
    if (!error) PutBig(&bytes[4], static_cast<uint8_t>(step.seq) % 4, 2);
    if (error) {
      FlowStep quoted = step;
      quoted.ends = static_cast<uint8_t>((step.ends & 1) | (step.payload & 0xfe));
      quoted.payload = 0;
      const std::vector<uint8_t> packet = PacketOf(quoted, kProtos[static_cast<uint8_t>(step.seq) % 9], 1);
      bytes.insert(bytes.end(), packet.begin(), packet.end());
      return bytes;
    }
  }
  for (uint32_t i = 0; i < payload; ++i) bytes.push_back(static_cast<uint8_t>(i));
  if (ip_proto == 132 && bytes.size() >= 20) {
    bytes[12] = step.flags % 16;
    PutBig(&bytes[14], 8, 2);
    PutBig(&bytes[16], 1 + static_cast<uint8_t>(step.ack) % 3, 4);
  }
  return bytes;
}

}  // namespace

std::vector<uint8_t> FrameOf(const FlowStep& step) {
  std::vector<uint8_t> frame(12);
  if (step.place & 4) frame.insert(frame.end(), {0x81, 0, 0, static_cast<uint8_t>(1 + (step.place >> 3 & 1))});
  frame.push_back(VersionOf(step) == 4 ? 8 : 0x86);
  frame.push_back(VersionOf(step) == 4 ? 0 : 0xdd);
  const uint8_t ip_proto = kProtos[step.kind / 8 % 9];
  const std::vector<uint8_t> packet = PacketOf(step, ip_proto, 0);
  frame.insert(frame.end(), packet.begin(), packet.end());
  if (step.damage != 0) frame[step.damage_at % frame.size()] ^= step.damage;
  return frame;
}

}  // namespace sluice
