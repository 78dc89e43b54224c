#include "sctp_tracker.h"

#include "flow_deadline.h"
#include "tcp_segment.h"

namespace sluice {
namespace {

constexpr uint8_t kData = 0;
constexpr uint8_t kInit = 1;
constexpr uint8_t kInitAck = 2;
constexpr uint8_t kHeartbeat = 4;
constexpr uint8_t kAbort = 6;
constexpr uint8_t kShutdown = 7;
constexpr uint8_t kShutdownAck = 8;
constexpr uint8_t kCookieEcho = 10;
constexpr uint8_t kCookieAck = 11;
constexpr uint8_t kShutdownComplete = 14;
constexpr uint8_t kInterleavedData = 64;  // RFC 8260

// A packet of nothing but empty chunks must not cost more than a packet.
constexpr uint32_t kChunkLimit = 32;

// In FlowState::tcp. Tags are those that frames of a direction must carry.
struct Association {
  uint32_t tag[2];
  uint32_t offered[2];  // by INIT and INIT ACK; in force with the COOKIE ECHO, also if the association restarts
  bool known[2];
  bool has_offer[2];
};
static_assert(sizeof(Association) <= sizeof(TcpTrack));

struct SctpPacket {
  FlowState& flow;
  Association& association;
  const TrackerConfig& config;
  uint32_t tag;
  uint8_t from;

  uint8_t to() const { return from ^ 1; }
};

struct Chunk {
  uint8_t type;
  uint8_t flags;
  uint32_t initiate_tag;  // INIT and INIT ACK
};

// Reads the chunk at `offset` of the `length` bytes and moves behind it. False at the end, or if it is broken.
bool ReadChunk(const uint8_t* chunks, uint32_t length, uint32_t* offset, Chunk* chunk) {
  if (*offset >= length || length - *offset < 4) return false;
  const uint8_t* at = chunks + *offset;
  const uint32_t bytes = LoadBig16(at + 2);
  if (bytes < 4) return false;
  const bool has_tag = (at[0] == kInit || at[0] == kInitAck) && bytes >= 8 && length - *offset >= 8;
  *chunk = {at[0], at[1], has_tag ? LoadBig32(at + 4) : 0};
  *offset += (bytes + 3) & ~3u;
  return true;
}

bool HasOfferedTag(const SctpPacket& packet) {
  const Association& association = packet.association;
  return association.has_offer[packet.from] && association.offered[packet.from] == packet.tag;
}

bool HasTag(const SctpPacket& packet) {
  const Association& association = packet.association;
  if (association.known[packet.from]) return association.tag[packet.from] == packet.tag;
  return !association.has_offer[packet.from] || HasOfferedTag(packet);
}

// RFC 9260, section 8.5.1: a sender that does not know the association has only the tag of the frame that it answers.
bool ReflectsTag(const SctpPacket& packet, const Chunk& chunk) {
  const Association& association = packet.association;
  return (chunk.flags & 1) != 0 && association.known[packet.to()] && association.tag[packet.to()] == packet.tag;
}

bool IsSoundTag(const SctpPacket& packet, const Chunk& chunk) {
  switch (chunk.type) {
    case kInit:
      return packet.tag == 0 && chunk.initiate_tag != 0;
    case kInitAck:
      return chunk.initiate_tag != 0 && (HasOfferedTag(packet) || packet.flow.state == abi::kFlowStateNew);
    case kCookieEcho:
      return HasOfferedTag(packet) || HasTag(packet);
    case kAbort:
    case kShutdownComplete:
      return ReflectsTag(packet, chunk) || HasTag(packet);
    default:
      return HasTag(packet);
  }
}

// What may begin a flow: an INIT, or a heartbeat over another path of an association; anything where flows may be
// picked up in the middle.
bool IsSoundStart(const SctpPacket& packet, const Chunk& chunk) {
  if (packet.flow.state != abi::kFlowStateNew || packet.from == 1 || packet.config.midstream) return true;
  return packet.association.known[0] || chunk.type == kInit || chunk.type == kHeartbeat;
}

void Offer(const SctpPacket& packet, uint32_t tag) {
  packet.association.offered[packet.to()] = tag;
  packet.association.has_offer[packet.to()] = true;
}

void AdoptOffers(const SctpPacket& packet) {
  Association& association = packet.association;
  if (!HasOfferedTag(packet)) return;
  for (const int side : {0, 1}) {
    association.tag[side] = association.offered[side];
    association.known[side] = association.has_offer[side];
  }
}

void LearnTag(const SctpPacket& packet) {
  packet.association.tag[packet.from] = packet.tag;
  packet.association.known[packet.from] = true;
}

uint32_t MoveTo(const SctpPacket& packet, uint8_t state, uint32_t events = 0) {
  packet.flow.state = state;
  return events;
}

uint32_t Establish(const SctpPacket& packet) {
  packet.flow.flags |= abi::kFlowFlagAssured;
  return MoveTo(packet, abi::kFlowStateEstablished, abi::kEventEstablished);
}

// A chunk that changes nothing, or only in another state than this. An association that was picked up is established
// when the other side is heard.
uint32_t TakeOther(const SctpPacket& packet, const Chunk& chunk) {
  const bool data = chunk.type == kData || chunk.type == kInterleavedData;
  const uint32_t events = data ? abi::kEventData : 0;
  if (!packet.association.known[packet.from]) LearnTag(packet);
  if (packet.flow.state != abi::kFlowStateNew) return events;
  packet.flow.flags |= abi::kFlowFlagMidstream;
  return packet.from == 1 ? events | Establish(packet) : events;
}

uint32_t TakeChunk(const SctpPacket& packet, const Chunk& chunk) {
  const uint8_t state = packet.flow.state;
  const bool established = state == abi::kFlowStateEstablished;
  switch (chunk.type) {
    case kInit:
      Offer(packet, chunk.initiate_tag);
      return state == abi::kFlowStateNew ? MoveTo(packet, abi::kFlowStateSynSent) : 0;
    case kInitAck:
      Offer(packet, chunk.initiate_tag);
      return state == abi::kFlowStateNew ? MoveTo(packet, abi::kFlowStateSynSent) : 0;
    case kCookieEcho:
      AdoptOffers(packet);
      if (state == abi::kFlowStateSynSent) return MoveTo(packet, abi::kFlowStateSynReceived);
      break;
    case kCookieAck:
      if (state == abi::kFlowStateSynReceived) return Establish(packet);
      break;
    case kAbort:
      return MoveTo(packet, abi::kFlowStateClosed, abi::kEventReset);
    case kShutdown:
      if (established) return MoveTo(packet, abi::kFlowStateFinWait, abi::kEventHalfClosed);
      break;
    case kShutdownAck:
      if (established) return MoveTo(packet, abi::kFlowStateLastAck, abi::kEventHalfClosed);
      if (state == abi::kFlowStateFinWait) return MoveTo(packet, abi::kFlowStateLastAck);
      break;
    case kShutdownComplete:
      if (state == abi::kFlowStateLastAck) return MoveTo(packet, abi::kFlowStateTimeWait, abi::kEventClosed);
      break;
  }
  return TakeOther(packet, chunk);
}

bool IsOver(uint8_t state) { return state == abi::kFlowStateTimeWait || state == abi::kFlowStateClosed; }

TrackResult TrackChunks(const SctpPacket& packet, const uint8_t* chunks, uint32_t length, uint64_t now_ns) {
  const auto& seconds = packet.config.timeouts.sctp;
  FlowState& flow = packet.flow;
  uint32_t offset = 0, events = 0;
  Chunk chunk;
  for (uint32_t count = 0; count < kChunkLimit && ReadChunk(chunks, length, &offset, &chunk); ++count) {
    const bool sound = IsSoundStart(packet, chunk) && IsSoundTag(packet, chunk);
    if (count == 0 && !sound) return InvalidFrame(flow, seconds[flow.state], now_ns);
    if (count == 0 && IsOver(flow.state) && chunk.type == kInit) return {0, flow.deadline_ns, true};
    if (!sound || IsOver(flow.state)) break;
    events |= TakeChunk(packet, chunk);
  }
  if (packet.from == 1) flow.flags |= abi::kFlowFlagReplied;
  return {events, DeadlineOf(flow, seconds[flow.state], now_ns), false};
}

}  // namespace

TrackResult TrackSctp(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                      const TrackerConfig& config) {
  const uint32_t seconds = config.timeouts.sctp[flow.state];
  const bool header = record.ip_proto == flow.ip_proto && record.l4_offset != abi::kOffsetNone;
  const bool fragment = (record.flags & abi::kRecordFlagFragment) != 0;
  if (record.malformed != 0 || (!header && !fragment)) return InvalidFrame(flow, seconds, now_ns);
  if (!header) return {abi::kEventData, DeadlineOf(flow, seconds, now_ns), false};
  const SctpPacket packet = {.flow = flow,
                             .association = *reinterpret_cast<Association*>(flow.tcp.bytes),
                             .config = config,
                             .tag = LoadBig32(bytes + record.l4_offset + 4),
                             .from = direction};
  return TrackChunks(packet, bytes + record.payload_offset, record.payload_length, now_ns);
}

}  // namespace sluice
