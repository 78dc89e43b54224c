// libFuzzer target of the stream table: connections whose payload says where it belongs (each byte is the low byte of
// its sequence number), so that a byte in the wrong place shows. Input: five bytes of limits, then a step each six
// bytes (Step). A segment may also lie: then its flow's bytes are not checked any longer, only their places.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "parser.h"
#include "stream_table.h"

namespace {

using namespace sluice;

#define CHECK(condition) \
  if (!(condition)) __builtin_trap()

constexpr uint32_t kFlows = 3;
constexpr uint32_t kHeaders = 40;
constexpr uint32_t kSlotBytes = 1 << 16;

struct Step {
  uint8_t kind;    // push, end, batch: see Run
  uint8_t flags;   // of the TCP header
  uint16_t place;  // of the segment, from the flow's first number on
  uint8_t length;
  uint8_t detail;  // time, room, cut, lie
};
static_assert(sizeof(Step) == 6);

// What one direction has delivered.
struct Delivered {
  uint64_t offset = 0;
  uint8_t next = 0;       // the byte that comes next
  bool anchored = false;  // the first byte was seen: only then is `next` known
  bool open = false;
  bool ended = false;
};

struct Connection {
  std::array<Delivered, 2> sides;
  bool lies = false;
};

struct Frame {
  std::unique_ptr<uint8_t[]> bytes;
  uint32_t length;
};

struct Extent {
  uint32_t begin, end;
};

class Checker {
 public:
  Checker(uint32_t buffer_bytes, const StreamLimits& limits)
      : limits_(limits), buffer_(buffer_bytes, 0xa5), streams_(StreamTable::Make(buffer_, limits)) {}

  void Run(const Step& step);
  void Finish();

 private:
  void Push(const Step& step);
  void End(uint32_t flow, uint32_t room);
  void BeginBatch();
  void Check(const Chunk& chunk, uint16_t record);
  const uint8_t* CheckPlace(const Chunk& chunk);
  void CheckBytes(const Chunk& chunk, const Connection& connection, Delivered& side);

  const StreamLimits limits_;
  std::vector<uint8_t> buffer_;
  std::unique_ptr<StreamTable> streams_;
  std::vector<Frame> frames_;
  std::vector<Extent> lent_;  // of the buffer, by this batch's chunks
  std::array<Connection, kFlows + 1> connections_;
  std::array<Chunk, 64> chunks_;
  uint64_t now_ns_ = 0;
};

void PutBig(uint8_t* at, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) at[i] = static_cast<uint8_t>(value >> (8 * (bytes - 1 - i)));
}

// IPv4 without link header, in a heap block of its exact size; `cut` bytes at the end are missing.
Frame MakeFrame(const Step& step, uint32_t sequence, uint32_t acknowledgement, uint32_t payload, uint32_t cut) {
  const uint32_t length = kHeaders + payload;
  Frame frame = {std::make_unique<uint8_t[]>(length - cut), length - cut};
  std::vector<uint8_t> bytes(length);
  bytes[0] = 0x45;
  PutBig(&bytes[2], length, 2);
  bytes[9] = 6;
  PutBig(&bytes[24], sequence, 4);
  PutBig(&bytes[28], acknowledgement, 4);
  bytes[32] = 0x50;
  bytes[33] = step.flags & 0x3f;
  const uint32_t first = sequence + ((step.flags & 2) != 0 ? 1 : 0);
  const auto lie = static_cast<uint8_t>((step.kind & 0x80) != 0 ? 0x40 : 0);
  for (uint32_t i = 0; i < payload; ++i) bytes[kHeaders + i] = static_cast<uint8_t>(first + i) ^ lie;
  std::copy_n(bytes.data(), frame.length, frame.bytes.get());
  return frame;
}

void Checker::Run(const Step& step) {
  switch (step.kind % 16) {
    case 0:
      return End(1 + step.detail % kFlows, step.length % 64);
    case 1:
    case 2:
      return BeginBatch();
    default:
      return Push(step);
  }
}

void Checker::Push(const Step& step) {
  const uint32_t flow = 1 + step.kind / 16 % kFlows;
  const auto direction = static_cast<uint8_t>(step.detail & 1);
  if ((step.kind & 0x80) != 0) connections_[flow].lies = true;
  // Near the wrap, at times far away; short and long segments.
  const uint32_t base = 0xffffff00 + direction * 77;
  const uint32_t far = (step.detail & 0xf0) == 0xf0 ? step.length * 0x01000001u : 0;
  const uint32_t payload = step.kind % 16 == 3   ? step.length * 8u
                           : step.kind % 16 == 4 ? step.length * 250u
                                                 : step.length;
  const uint32_t cut = (step.detail & 0x0e) == 0x0e ? std::min(payload, 20u) : 0;
  const uint32_t room = (step.detail & 0x0e) == 0x0c ? step.length % 3 : 64;
  now_ns_ += (step.detail & 0x70) == 0x70 ? 100'000'000 : 1'000'000;

  const uint32_t sequence = base + step.place % 16384 + far;
  frames_.push_back(MakeFrame(step, sequence, 0xffffff00 + (1 - direction) * 77 + step.place % 999, payload, cut));
  const Frame& frame = frames_.back();
  Record record = {.length = frame.length, .wire_length = frame.length + cut, .link = abi::kLinkRaw};
  ParseFrame(frame.bytes.get(), record);
  if (record.malformed != 0) return;
  const auto index = static_cast<uint16_t>(frames_.size() - 1);
  const uint32_t count = streams_->Push(flow, direction, record, index, frame.bytes.get(), index * kSlotBytes, now_ns_,
                                        std::span(chunks_).first(room));
  CHECK(count <= room);
  for (uint32_t i = 0; i < count; ++i) {
    CHECK(chunks_[i].flow == flow);
    Check(chunks_[i], index);
  }
  CHECK(streams_->buffered_bytes() <= buffer_.size());
}

void Checker::End(uint32_t flow, uint32_t room) {
  const uint32_t count = streams_->End(flow, std::span(chunks_).first(room));
  CHECK(count <= room);
  for (uint32_t i = 0; i < count; ++i) {
    CHECK(chunks_[i].flow == flow);
    Check(chunks_[i], kNoRecord);
  }
  const bool all = room >= limits_.per_flow_bytes / kStreamBlockBytes + 2;
  for (const Delivered& side : connections_[flow].sides) CHECK(!all || side.ended || !side.open);
  connections_[flow] = {};
}

void Checker::BeginBatch() {
  streams_->BeginBatch();
  frames_.clear();
  lent_.clear();
  CHECK(streams_->buffered_bytes() <= kFlows * uint64_t{limits_.per_flow_bytes});
}

void Checker::Check(const Chunk& chunk, uint16_t record) {
  Connection& connection = connections_[chunk.flow];
  Delivered& side = connection.sides[chunk.direction];
  CHECK(chunk.record == record && chunk.direction < 2);
  CHECK(((chunk.flags & abi::kChunkFlagStart) != 0) == !side.open && !side.ended);
  CHECK(((chunk.flags & abi::kChunkFlagGap) != 0) == (chunk.gap > 0));
  CHECK(chunk.gap <= INT32_MAX && chunk.offset == side.offset + chunk.gap);
  CHECK((chunk.flags & abi::kChunkFlagAmbiguous) == 0 || (connection.lies && chunk.in_buffer));
  CheckBytes(chunk, connection, side);
  side.open = true;
  side.ended = (chunk.flags & abi::kChunkFlagEnd) != 0;
  side.offset = chunk.offset + chunk.length;
}

void Checker::CheckBytes(const Chunk& chunk, const Connection& connection, Delivered& side) {
  side.next = static_cast<uint8_t>(side.next + chunk.gap);
  if (chunk.length == 0) return;
  const uint8_t* data = CheckPlace(chunk);
  if (!side.anchored) side.next = data[0];
  side.anchored = true;
  for (uint32_t i = 0; !connection.lies && i < chunk.length; ++i) CHECK(data[i] == static_cast<uint8_t>(side.next + i));
  side.next = static_cast<uint8_t>(side.next + chunk.length);
}

const uint8_t* Checker::CheckPlace(const Chunk& chunk) {
  if (!chunk.in_buffer) {
    const uint32_t slot = chunk.data / kSlotBytes, place = chunk.data % kSlotBytes;
    CHECK(slot == chunk.record && slot < frames_.size());
    CHECK(place >= kHeaders && place + chunk.length <= frames_[slot].length);
    return frames_[slot].bytes.get() + place;
  }
  const Extent extent = {chunk.data, chunk.data + chunk.length};
  CHECK(chunk.length <= kStreamBlockBytes && extent.end <= buffer_.size());
  for (const Extent& other : lent_) CHECK(extent.end <= other.begin || other.end <= extent.begin);
  lent_.push_back(extent);
  return buffer_.data() + chunk.data;
}

void Checker::Finish() {
  for (uint32_t flow = 1; flow <= kFlows; ++flow) End(flow, 64);
  BeginBatch();
  CHECK(streams_->buffered_bytes() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kLimitBytes = 5;
  if (size < kLimitBytes) return 0;
  StreamLimits limits = {.flows = kFlows};
  limits.per_flow_bytes = data[0] % 16 * kStreamBlockBytes + data[1];
  limits.hold_ms = data[2] * 4u;
  limits.overlap = data[3] % 2 == 0 ? OverlapPolicy::kFirst : OverlapPolicy::kLast;
  Checker checker(data[4] % 32 * kStreamBlockBytes + data[1], limits);
  for (size_t at = kLimitBytes; at + sizeof(Step) <= size; at += sizeof(Step)) {
    Step step;
    std::memcpy(&step, data + at, sizeof(step));
    checker.Run(step);
  }
  checker.Finish();
  return 0;
}
