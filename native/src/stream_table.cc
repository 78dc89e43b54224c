// A frame takes one of two ways. Nearly all are the next in order of a stream that waits for nothing: one chunk, in
// Streams::Push. For the rest a StreamAssembly per direction takes the flow's state apart.
#include "stream_table.h"

#include <algorithm>
#include <utility>

#include "parse_transport.h"
#include "private_memory.h"
#include "stream_assembly.h"
#include "stream_segment.h"
#include "waiting_flows.h"

namespace sluice {

namespace {

struct Origin {
  uint32_t flow;
  uint16_t record;
  uint8_t direction;
};

// Neither opens nor ends anything, and nothing of it is missing.
bool IsPlain(const Record& record) {
  return (record.tcp_flags & (kTcpFin | kTcpSyn | kTcpRst | kTcpAck)) == kTcpAck &&
         (record.flags & (abi::kRecordFlagCut | abi::kRecordFlagFragment)) == 0;
}

class Streams final : public StreamTable {
 public:
  Streams(PrivateMemory memory, std::span<uint8_t> buffer, const StreamLimits& limits)
      : hold_ns_(uint64_t{limits.hold_ms} * 1'000'000),
        overlap_(limits.overlap),
        block_limit_(static_cast<uint16_t>(std::min(limits.per_flow_bytes / kStreamBlockBytes, 0xffffu))),
        buffer_(buffer),
        waiting_(limits.flows),
        memory_(std::move(memory)),
        flows_(static_cast<FlowStreams*>(memory_.data())) {
    states_ = reinterpret_cast<const uint8_t*>(flows_);
    static_assert(sizeof(FlowStreams) == kStateBytes);
  }

  void BeginBatch() override { buffer_.Reclaim(); }

  uint32_t Push(uint32_t flow, uint8_t direction, const Record& record, uint16_t record_index, const uint8_t* bytes,
                uint32_t umem_offset, uint64_t now_ns, std::span<Chunk> out) override;
  uint32_t End(uint32_t flow, std::span<Chunk> out) override;

  uint64_t buffered_bytes() const override { return buffer_.used_bytes(); }

 private:
  uint32_t PushDatagram(const Origin& origin, const Record& record, const uint8_t* bytes, uint32_t umem_offset,
                        std::span<Chunk> out);
  uint32_t PushSegment(const Origin& origin, const StreamSegment& segment, uint64_t now_ns, std::span<Chunk> out);
  // A segment without RST. `other` is the state of `theirs`.
  void TakeSegment(const StreamSegment& segment, StreamState& other, StreamAssembly& mine, StreamAssembly& theirs);
  StreamAssembly Assemble(uint32_t flow, uint8_t direction, const StreamFrame& frame, ChunkSink& sink);
  void DropOverdue(uint32_t flow, const StreamFrame& frame);
  bool IsOverdue(uint32_t flow, const StreamFrame& frame);

  const uint64_t hold_ns_;
  const OverlapPolicy overlap_;
  const uint16_t block_limit_;
  StreamBuffer buffer_;
  WaitingFlows waiting_;
  const PrivateMemory memory_;
  FlowStreams* const flows_;  // by flow
};

uint32_t Streams::Push(uint32_t flow, uint8_t direction, const Record& record, uint16_t record_index,
                       const uint8_t* bytes, uint32_t umem_offset, uint64_t now_ns, std::span<Chunk> out) {
  const Origin origin = {flow, record_index, direction};
  if (record.l4_offset == abi::kOffsetNone || record.payload_offset == abi::kOffsetNone) return 0;
  if (record.ip_proto == kProtoUdp) return PushDatagram(origin, record, bytes, umem_offset, out);
  if (record.ip_proto != kProtoTcp) return 0;

  StreamState& side = flows_[flow].sides[direction];
  StreamState& other = flows_[flow].sides[1 - direction];
  const uint8_t* tcp = bytes + record.l4_offset;
  const uint32_t length = record.payload_length;
  if (!IsPlain(record) || !side.quiet() || !other.quiet() ||
      (length > 0 && (!side.expects(LoadBig32(tcp + 4)) || out.empty()))) {
    return PushSegment(origin, ReadStreamSegment(record, bytes, umem_offset), now_ns, out);
  }
  other.acknowledged = LoadBig32(tcp + 8);
  other.has_acknowledged = true;
  if (length == 0) return 0;
  out[0] = {.offset = side.offset,
            .data = umem_offset + record.payload_offset,
            .length = length,
            .flow = flow,
            .gap = 0,
            .record = record_index,
            .direction = direction,
            .flags = 0,
            .in_buffer = false};
  side.offset += length;
  side.next += length;
  side.missing_ms = 0;
  return 1;
}

uint32_t Streams::PushDatagram(const Origin& origin, const Record& record, const uint8_t* bytes, uint32_t umem_offset,
                               std::span<Chunk> out) {
  const uint64_t number = flows_[origin.flow].sides[origin.direction].offset++;
  if (out.empty()) return 0;
  const uint32_t whole = LoadBig16(bytes + record.l4_offset + 4) - 8u, length = record.payload_length;
  const uint32_t gap = whole > length ? whole - length : 0;
  out[0] = {.offset = number,
            .data = umem_offset + record.payload_offset,
            .length = length,
            .flow = origin.flow,
            .gap = gap,
            .record = origin.record,
            .direction = origin.direction,
            .flags = static_cast<uint8_t>(abi::kChunkFlagDatagram | (gap > 0 ? abi::kChunkFlagGap : 0)),
            .in_buffer = false};
  return 1;
}

uint32_t Streams::PushSegment(const Origin& origin, const StreamSegment& segment, uint64_t now_ns,
                              std::span<Chunk> out) {
  const auto [flow, record, direction] = origin;
  const auto back = static_cast<uint8_t>(1 - direction);
  const StreamFrame frame = {now_ns, hold_ns_, overlap_};
  if (buffer_.full()) DropOverdue(flow, frame);
  ChunkSink sink(out, flow, record);
  const uint16_t blocks = waiting_.blocks(flow);
  StreamAssembly mine = Assemble(flow, direction, frame, sink), theirs = Assemble(flow, back, frame, sink);
  if (segment.has(kTcpRst)) {
    const FlowStreams& streams = flows_[flow];
    if (IsSoundReset(streams.sides[direction], streams.sides[back], segment)) mine.Reset(), theirs.Reset();
  } else {
    TakeSegment(segment, flows_[flow].sides[back], mine, theirs);
  }
  mine.Release(false);
  theirs.Release(false);
  waiting_.Update(flow, blocks);
  return sink.count();
}

void Streams::TakeSegment(const StreamSegment& segment, StreamState& other, StreamAssembly& mine,
                          StreamAssembly& theirs) {
  Payload payload = segment.payload;
  if (segment.has(kTcpSyn)) mine.Start(++payload.sequence);
  if (segment.has(kTcpAck)) {
    if (segment.has(kTcpSyn)) theirs.Settle(segment.acknowledgement);
    other.acknowledged = segment.acknowledgement;
    other.has_acknowledged = true;
  }
  mine.ReleaseAdjacent();
  const bool fin = segment.has(kTcpFin);
  if (payload.length > 0 || segment.lost > 0 || fin) mine.Take(payload, segment.lost, fin);
}

uint32_t Streams::End(uint32_t flow, std::span<Chunk> out) {
  const StreamFrame frame = {0, hold_ns_, overlap_};
  ChunkSink sink(out, flow, kNoRecord);
  const uint16_t blocks = waiting_.blocks(flow);
  for (uint8_t direction = 0; direction < 2; ++direction) {
    StreamAssembly assembly = Assemble(flow, direction, frame, sink);
    assembly.Release(true);
    assembly.Drop();
  }
  waiting_.Update(flow, blocks);
  flows_[flow] = {};
  return sink.count();
}

StreamAssembly Streams::Assemble(uint32_t flow, uint8_t direction, const StreamFrame& frame, ChunkSink& sink) {
  StreamState& side = flows_[flow].sides[direction];
  return {side, direction, WaitingList(buffer_, side.tail, {waiting_.blocks(flow), block_limit_}), frame, sink};
}

// No memory is left, and flows that fell silent do not come to give up their holes: what one of them keeps is lost.
void Streams::DropOverdue(uint32_t flow, const StreamFrame& frame) {
  constexpr int kAttempts = 4;
  for (int i = 0; i < kAttempts && buffer_.full(); ++i) {
    const uint32_t oldest = waiting_.oldest();
    if (oldest == 0) return;
    if (oldest == flow || !IsOverdue(oldest, frame)) {
      waiting_.MakeNewest(oldest);
      continue;
    }
    ChunkSink none({}, oldest, kNoRecord);
    const uint16_t blocks = waiting_.blocks(oldest);
    for (uint8_t direction = 0; direction < 2; ++direction) Assemble(oldest, direction, frame, none).Drop();
    waiting_.Update(oldest, blocks);
  }
}

bool Streams::IsOverdue(uint32_t flow, const StreamFrame& frame) {
  for (StreamState& side : flows_[flow].sides) {
    WaitingList waiting(buffer_, side.tail, {waiting_.blocks(flow), block_limit_});
    if (!waiting.empty() && frame.now_ns >= waiting.head().since_ns + hold_ns_) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<StreamTable> StreamTable::Make(std::span<uint8_t> buffer, const StreamLimits& limits) {
  const size_t bytes = (size_t{limits.flows} + 1) * sizeof(FlowStreams);
  PrivateMemory memory = PrivateMemory::Make(bytes, bytes);
  if (memory.data() == nullptr) return nullptr;
  return std::make_unique<Streams>(std::move(memory), buffer, limits);
}

}  // namespace sluice
