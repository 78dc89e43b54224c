#include "reply_tracker.h"

#include "flow_deadline.h"
#include "tcp_segment.h"

namespace sluice {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
// Two sides that still talk after this are more than a question and its answer (nf_conntrack).
constexpr uint64_t kUdpStreamNs = 2 * kNsPerSecond;

constexpr uint8_t kProtoIcmp = 1;

uint32_t DataEvent(const Record& record, const uint8_t* bytes) {
  if (record.payload_length != 0) return abi::kEventData;
  const bool cut = (record.flags & abi::kRecordFlagCut) != 0 && record.payload_offset != abi::kOffsetNone;
  return cut && WirePayloadBytes(record, bytes) != 0 ? abi::kEventData : 0;
}

uint32_t SecondsOf(const std::array<uint32_t, 4>& seconds, const FlowState& flow) {
  return seconds[flow.state == abi::kFlowStateEstablished ? abi::kFlowStateEstablished : abi::kFlowStateNew];
}

// ESTABLISHED at the first frame of the other direction.
uint32_t NoteReply(FlowState& flow, uint8_t direction) {
  if (direction == 0 || flow.state != abi::kFlowStateNew) return 0;
  flow.state = abi::kFlowStateEstablished;
  flow.flags |= abi::kFlowFlagReplied;
  return abi::kEventEstablished;
}

bool IsIcmpAnswer(const Record& record) {
  const uint8_t type = record.source_port >> 8;
  if (record.ip_proto == kProtoIcmp) return type == 0 || type == 14 || type == 16 || type == 18;
  return type == 129;
}

}  // namespace

TrackResult TrackUdp(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                     const FlowTimeouts& timeouts) {
  if (record.malformed != 0) return InvalidFrame(flow, SecondsOf(timeouts.udp, flow), now_ns);
  const uint32_t events = NoteReply(flow, direction) | DataEvent(record, bytes);
  const bool stream = flow.state == abi::kFlowStateEstablished && now_ns - flow.start_ns > kUdpStreamNs;
  if (stream) flow.flags |= abi::kFlowFlagAssured;
  const uint8_t state = stream ? abi::kFlowStateEstablished : abi::kFlowStateNew;
  return {events, DeadlineOf(flow, timeouts.udp[state], now_ns), false};
}

TrackResult TrackIcmp(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                      const TrackerConfig& config) {
  const auto& seconds = config.timeouts.icmp;
  const bool unasked = !config.midstream && direction == 0 && flow.state == abi::kFlowStateNew && IsIcmpAnswer(record);
  if (record.malformed != 0 || unasked) return InvalidFrame(flow, SecondsOf(seconds, flow), now_ns);
  const uint32_t events = NoteReply(flow, direction) | DataEvent(record, bytes);
  return {events, DeadlineOf(flow, SecondsOf(seconds, flow), now_ns), false};
}

TrackResult TrackOther(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                       const FlowTimeouts& timeouts) {
  if (record.malformed != 0) return InvalidFrame(flow, SecondsOf(timeouts.other, flow), now_ns);
  const uint32_t events = NoteReply(flow, direction) | DataEvent(record, bytes);
  return {events, DeadlineOf(flow, SecondsOf(timeouts.other, flow), now_ns), false};
}

}  // namespace sluice
