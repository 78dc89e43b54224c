// libFuzzer target of the tracker: one flow's frames, and what must hold of it whatever comes. Input: two bytes of
// configuration, then for TCP a step each eight bytes (Step), for other protocols frames: length, direction, bytes
// behind the IP header.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "parser.h"
#include "tcp_connection.h"
#include "tcp_prediction.h"
#include "tcp_tracker.h"

namespace {

using namespace sluice;

#define CHECK(condition) \
  if (!(condition)) __builtin_trap()

constexpr uint8_t kProtos[] = {6, 6, 6, 17, 1, 58, 132, 50};
constexpr uint32_t kNearWrap[] = {0xfffffff0, 0x7ffffff0};

struct Step {
  uint8_t kind;   // direction, how far seq and ack are from what comes next, fragment, cut
  uint8_t flags;  // of the TCP header
  int8_t seq, ack;
  uint8_t window, payload, options;
  uint8_t time;  // units of 2^26 ns
};
static_assert(sizeof(Step) == 8);

struct Frame {
  std::unique_ptr<uint8_t[]> bytes;
  Record record;
};

class Checker {
 public:
  Checker(uint8_t protocol, uint8_t config) : ip_proto_(kProtos[protocol % 8]), version_(protocol & 8 ? 6 : 4) {
    config_ = {DefaultFlowTimeouts(), (config & 1) == 0, (config & 2) != 0};
    flow_ = NewFlow();
    if (config & 4) flow_.timeout_ms = 1500;
  }

  uint8_t ip_proto() const { return ip_proto_; }
  void Run(const Step& step);
  void Run(uint8_t direction, const uint8_t* bytes, uint32_t length);

 private:
  FlowState NewFlow() const { return {.state = abi::kFlowStateNew, .ip_proto = ip_proto_, .ip_version = version_}; }
  Frame MakeFrame(const std::vector<uint8_t>& transport, uint32_t cut, uint16_t fragment) const;
  void Track(const Frame& frame, uint8_t direction);
  void CheckFrame(const FlowState& before, const TrackResult& result, const Frame& frame, uint8_t direction);
  void CheckReset(FlowState before, const Frame& frame, uint8_t direction) const;

  const uint8_t ip_proto_;
  const uint8_t version_;
  TrackerConfig config_;
  FlowState flow_;
  std::array<uint32_t, 2> next_ = {kNearWrap[0], kNearWrap[1]};  // where the sides' numbers go on
  uint32_t events_ = 0;                                          // of the flow so far
  uint64_t now_ns_ = 1;
};

void PutBig(uint8_t* at, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) at[i] = static_cast<uint8_t>(value >> (8 * (bytes - 1 - i)));
}

// Without link header, in a heap block of its exact size; `cut` bytes at the end are missing. `fragment` as in IPv4.
Frame Checker::MakeFrame(const std::vector<uint8_t>& transport, uint32_t cut, uint16_t fragment) const {
  const uint32_t header = version_ == 4 ? 20 : 40, wire = header + static_cast<uint32_t>(transport.size());
  std::vector<uint8_t> bytes(header);
  bytes[0] = static_cast<uint8_t>(version_ << 4 | 5);
  PutBig(&bytes[version_ == 4 ? 2 : 4], version_ == 4 ? wire : wire - header, 2);
  bytes[version_ == 4 ? 9 : 6] = ip_proto_;
  if (version_ == 4) PutBig(&bytes[6], fragment, 2);
  bytes.insert(bytes.end(), transport.begin(), transport.end());
  const uint32_t length = wire - std::min(cut, wire);
  Frame frame = {std::make_unique<uint8_t[]>(length), {}};
  std::copy_n(bytes.data(), length, frame.bytes.get());
  frame.record = {.length = length, .wire_length = wire, .link = abi::kLinkRaw};
  ParseFrame(frame.bytes.get(), frame.record);
  return frame;
}

void Checker::Run(const Step& step) {
  static constexpr uint8_t kOptions[][12] = {{1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8}, {3, 3, 7}, {3, 3, 255, 8, 10, 1},
                                             {5, 10, 0, 0, 0, 0, 0, 0, 1, 0},       {5, 2},    {0x54, 0}};
  const auto direction = static_cast<uint8_t>(step.kind & 1);
  // Near what comes next, mostly exactly there; at times far away.
  const uint32_t scale = (step.kind & 6) == 6 ? 0x01000001 : (step.kind & 6) == 4 ? 1000 : (step.kind & 6) / 2;
  const uint32_t seq = next_[direction] + step.seq * scale, ack = next_[direction ^ 1] + step.ack * scale;
  const uint32_t options = step.options & 0x80 ? 12 : 0;
  const uint32_t payload = step.payload & 0x80 ? step.payload * 200u : step.payload;
  std::vector<uint8_t> tcp(20 + options + payload);
  PutBig(&tcp[4], seq, 4);
  PutBig(&tcp[8], ack, 4);
  tcp[12] = static_cast<uint8_t>((20 + options) << 2);
  tcp[13] = step.flags;
  PutBig(&tcp[14], step.window * 257u, 2);
  if (options) std::copy_n(kOptions[step.options % 6], 12, &tcp[20]);
  if (options) PutBig(&tcp[24], seq, step.options & 0x40 ? 4 : 0);
  const auto fragment = static_cast<uint16_t>((step.kind & 0xf0) == 0xf0 ? 0x2000 : (step.kind & 0xf0) == 0xe0 ? 9 : 0);
  now_ns_ += uint64_t{step.time} << 26;
  Track(MakeFrame(tcp, (step.kind & 8) != 0 ? payload : 0, fragment), direction);
  const uint32_t end = seq + payload + ((step.flags & kTcpSyn) != 0) + ((step.flags & kTcpFin) != 0);
  if (scale == 0) next_[direction] = end;
}

void Checker::Run(uint8_t direction, const uint8_t* bytes, uint32_t length) {
  now_ns_ += uint64_t{direction} << 24;
  Track(MakeFrame({bytes, bytes + length}, direction & 2 ? 3 : 0, 0), direction & 1);
}

void Checker::Track(const Frame& frame, uint8_t direction) {
  const FlowState before = flow_;
  FlowState other = flow_;
  TrackResult result = TrackFrame(flow_, direction, frame.record, frame.bytes.get(), now_ns_, config_);
  const TrackResult slow = TrackFrameUnpredicted(other, direction, frame.record, frame.bytes.get(), now_ns_, config_);
  CHECK(std::memcmp(&flow_, &other, sizeof(flow_)) == 0 && result.events == slow.events);
  if (result.reuse) {
    CHECK(result.events == 0 && std::memcmp(&flow_, &before, sizeof(flow_)) == 0);
    flow_ = NewFlow();
    flow_.tcp = TrackOfSuccessor(before);
    events_ = 0;
    const FlowState fresh = flow_;
    result = TrackFrame(flow_, 0, frame.record, frame.bytes.get(), now_ns_, config_);
    CHECK(!result.reuse && (result.events & abi::kEventInvalid) == 0);
    CheckFrame(fresh, result, frame, 0);
    // From now on the other way round, if the new flow's first sender was the second one of the old.
    if (direction == 1) std::swap(next_[0], next_[1]);
    return;
  }
  CheckFrame(before, result, frame, direction);
}

bool IsOpening(uint8_t state) {
  return state == abi::kFlowStateNew || state == abi::kFlowStateSynSent || state == abi::kFlowStateSynSent2 ||
         state == abi::kFlowStateSynReceived;
}

void Checker::CheckFrame(const FlowState& before, const TrackResult& result, const Frame& frame, uint8_t direction) {
  constexpr uint32_t kOnce =
      abi::kEventStart | abi::kEventEstablished | abi::kEventHalfClosed | abi::kEventClosed | abi::kEventReset;
  const bool first = before.deadline_ns == 0;
  const bool invalid = (result.events & abi::kEventInvalid) != 0;
  const bool challenge = (result.events & abi::kEventChallenge) != 0;
  CHECK(flow_.state != 0 && flow_.state <= abi::kFlowStateSynSent2 && flow_.deadline_ns == result.deadline_ns);
  CHECK(first == ((result.events & abi::kEventStart) != 0));
  CHECK((events_ & result.events & kOnce) == 0);
  events_ |= result.events;
  CHECK(flow_.invalid == before.invalid + invalid);
  CHECK(IsOpening(before.state) || !IsOpening(flow_.state));
  CHECK(direction == 1 || first || (flow_.flags & ~before.flags & abi::kFlowFlagReplied) == 0);
  if (invalid || challenge) {
    CHECK((result.events & ~abi::kEventStart & ~abi::kEventInvalid & ~abi::kEventChallenge) == 0);
    CHECK(flow_.state == before.state && flow_.flags == before.flags);
    CHECK(flow_.state == abi::kFlowStateNew || flow_.deadline_ns == before.deadline_ns);
  }
  if ((result.events & abi::kEventReset) && ip_proto_ == 6) CheckReset(before, frame, direction);
}

// Nobody resets an open connection without its exact number.
void Checker::CheckReset(FlowState before, const Frame& frame, uint8_t direction) const {
  if (before.state != abi::kFlowStateEstablished) return;
  const TcpConnection& connection = ConnectionOf(before);
  const uint32_t seq = LoadBig32(frame.bytes.get() + frame.record.l4_offset + 4);
  const bool heard = connection.traits[direction ^ 1].known;
  CHECK(!heard || seq == connection.sides[direction].end || seq == connection.sides[direction ^ 1].max_ack);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  Checker checker(data[0], data[1]);
  size_t at = 2;
  if (checker.ip_proto() == 6) {
    for (Step step; at + sizeof(step) <= size; at += sizeof(step)) {
      std::memcpy(&step, data + at, sizeof(step));
      checker.Run(step);
    }
    return 0;
  }
  while (at + 2 <= size) {
    const auto length = static_cast<uint32_t>(std::min<size_t>(data[at], size - at - 2));
    checker.Run(data[at + 1], data + at + 2, length);
    at += 2 + length;
  }
  return 0;
}
