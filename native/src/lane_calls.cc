// What the flight recorder keeps of a lane's calls: each with its frames, records, chunks and events, and what the
// function could read of their flows.
#include <algorithm>

#include "call_writer.h"
#include "lane.h"

namespace sluice {
namespace {

template <typename T>
T Load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

constexpr size_t kColumnBytes = 8;

size_t RowBytes(const Function& function) {
  return (function.reads_flow ? abi::kFlowBytes : 0) + function.seen.size() * kColumnBytes;
}

}  // namespace

// Of a chunk's data what does not lie in a frame, which is kept anyway.
uint32_t Lane::BufferedBytes(const uint8_t* chunk) const {
  const auto data = Load<uint32_t>(chunk + abi::kChunkData);
  return data < config_.frames_address ? Load<uint32_t>(chunk + abi::kChunkLength) : 0;
}

size_t Lane::CallBytes(const Call& call) const {
  const Function& function = program_->functions[call.function];
  const size_t row = RowBytes(function);
  size_t bytes = layout::kCallHeadBytes;
  if (call.kind == layout::kCallKindsNfProcess) {
    const Queue& queue = program_->queues[call.hop];
    bytes += queue.count * (layout::kCallFrameHeadBytes + sizeof(Record) + row);
    for (uint32_t i = 0; call.with_frames && i < queue.count; ++i) {
      bytes += CallWriter::Padded(records_[queue.records[i]].length);
    }
    const uint32_t chunks = function.chunks ? Load<uint32_t>(function.chunks + abi::kChunksCount) : 0;
    for (uint32_t i = 0; i < chunks; ++i) {
      const uint8_t* entry = function.chunks + abi::kChunksEntries + i * abi::kChunkBytes;
      bytes += abi::kChunkBytes + CallWriter::Padded(BufferedBytes(entry));
    }
  } else if (call.kind == layout::kCallKindsNfEvents) {
    bytes += Load<uint32_t>(function.events + abi::kEventsCount) * (abi::kEventEntryBytes + row);
  }
  return bytes;
}

void Lane::WriteCall(const Call& call, uint8_t* to) const {
  const Function& function = program_->functions[call.function];
  const bool is_process = call.kind == layout::kCallKindsNfProcess;
  const bool is_events = call.kind == layout::kCallKindsNfEvents;
  CallWriter writer(to);
  writer.Put(static_cast<uint32_t>(CallBytes(call)));
  writer.Put(call.kind);
  writer.Put(call.hop);
  writer.Put(is_process ? program_->queues[call.hop].count : 0u);
  writer.Put(batch_->time_ns);
  writer.Put(static_cast<uint32_t>(RowBytes(function)));
  writer.Put(is_process && function.chunks ? Load<uint32_t>(function.chunks + abi::kChunksCount) : 0u);
  writer.Put(is_events ? Load<uint32_t>(function.events + abi::kEventsCount) : 0u);
  writer.Put(is_events ? Load<uint32_t>(function.events + abi::kEventsMissed) : 0u);
  writer.Skip(layout::kCallHeadBytes - writer.written());
  if (is_process) WriteFrames(call, &writer);
  if (is_process && function.chunks) WriteChunks(function, &writer);
  if (is_events) WriteEvents(function, &writer);
}

void Lane::WriteFrames(const Call& call, CallWriter* writer) const {
  const Queue& queue = program_->queues[call.hop];
  for (uint32_t i = 0; i < queue.count; ++i) {
    const Record& record = records_[queue.records[i]];
    const uint32_t kept = call.with_frames ? record.length : 0;
    writer->Put(queue.records[i]);
    writer->Put(uint16_t{0});
    writer->Put(kept);
    writer->Put(&record, sizeof(record));
    WriteRow(program_->functions[call.function], record.flow, writer);
    writer->Put(BytesOf(record), kept);
    writer->Pad();
  }
}

void Lane::WriteRow(const Function& function, uint32_t flow, CallWriter* writer) const {
  if (flow == 0 || !config_.flows || flow > config_.flows->table().capacity()) return writer->Skip(RowBytes(function));
  if (function.reads_flow) writer->Put(&config_.flows->table().state(flow), abi::kFlowBytes);
  for (const SeenColumn& column : function.seen) {
    writer->Put(column.data + uint64_t{flow} * column.bytes, column.bytes);
    writer->Skip(kColumnBytes - column.bytes);
  }
}

void Lane::WriteChunks(const Function& function, CallWriter* writer) const {
  const auto count = Load<uint32_t>(function.chunks + abi::kChunksCount);
  for (uint32_t i = 0; i < count; ++i) {
    const uint8_t* entry = function.chunks + abi::kChunksEntries + i * abi::kChunkBytes;
    const uint32_t kept = BufferedBytes(entry);
    writer->Put(entry, layout::kCallChunkKept);
    writer->Put(kept);
    if (kept == 0) continue;
    const uint32_t offset = Load<uint32_t>(entry + abi::kChunkData) - program_->stream_buffer_address;
    writer->Put(program_->flows.stream_buffer->data() + offset, kept);
    writer->Pad();
  }
}

void Lane::WriteEvents(const Function& function, CallWriter* writer) const {
  const auto count = Load<uint32_t>(function.events + abi::kEventsCount);
  for (uint32_t i = 0; i < count; ++i) {
    const uint8_t* entry = function.events + abi::kEventsEntries + i * abi::kEventEntryBytes;
    writer->Put(entry, abi::kEventEntryBytes);
    WriteRow(function, Load<uint32_t>(entry + abi::kEventEntryFlow), writer);
  }
}

std::vector<uint8_t> Lane::CopyCall(const Call& call) const {
  std::vector<uint8_t> bytes(CallBytes(call));
  WriteCall(call, bytes.data());
  return bytes;
}

void Lane::RecordCall(uint32_t kind, uint32_t index, uint32_t hop) {
  const Function& function = program_->functions[index];
  if (!function.recorder) return;
  const Call call{kind, index, hop, function.reads_frames};
  const bool is_batch = kind == layout::kCallKindsNfProcess;
  if (uint8_t* to = function.recorder->Add(CallBytes(call), is_batch)) WriteCall(call, to);
}

// The first result of a kind that does not hold, with the batch that it is for. Frames before it may have gone on, and
// been parsed again.
void Lane::NoteBadResult(uint32_t index, uint32_t record_index, const Result& result, uint32_t why) {
  Hop& hop = program_->hops[index];
  const uint32_t bit = 1u << (why - layout::kEngineDropReasonsBadVerdict);
  if (!config_.keep_bad_results || bad_result_.is_held || (hop.noted & bit) != 0) return;
  const Call call{layout::kCallKindsNfProcess, hop.function, index, true};
  const size_t bytes = CallBytes(call);
  if (bytes > bad_result_.call.size()) return;
  hop.noted |= bit;
  WriteCall(call, bad_result_.call.data());
  const Queue& queue = program_->queues[index];
  const auto* at = std::find(queue.records.begin(), queue.records.begin() + queue.count, record_index);
  bad_result_.is_held = true;
  bad_result_.bytes = bytes;
  bad_result_.hop = index;
  bad_result_.position = static_cast<uint32_t>(at - queue.records.begin());
  bad_result_.reason = why;
  bad_result_.result = result;
}

}  // namespace sluice
