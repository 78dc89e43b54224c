// A stream table that does what each line says, and answers with one line of JSON: the chunks with their bytes in
// hexadecimal, and how much is buffered. Times are in milliseconds; ROOM is how many chunks are taken at the most.
//
//   make FLOWS BUFFER_BYTES PER_FLOW_BYTES HOLD_MS first|last
//   batch
//   push FLOW DIRECTION TIME ROOM WIRE_LENGTH HEX      (WIRE_LENGTH 0: as long as it is)
//   end FLOW ROOM
//
// Chunks must keep their bytes until the next batch: if one does not, the harness ends with status 1.
#include <stdio.h>
#include <stdlib.h>

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "harness_frame.h"
#include "stream_table.h"

namespace {

using namespace sluice;

// Where the frames of a batch are said to lie in the UMEM; each is really in a heap block of its own.
constexpr uint32_t kSlotBytes = 1 << 16;

struct Kept {
  const uint8_t* data;
  std::string bytes;
};

struct Harness {
  std::vector<uint8_t> buffer;
  std::unique_ptr<StreamTable> streams;
  std::vector<HarnessFrame> frames;
  std::vector<Kept> kept;
};

void Fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

std::string BytesOf(const Harness& harness, const Chunk& chunk) {
  if (chunk.length == 0) return "";
  const uint8_t* data = nullptr;
  if (chunk.in_buffer) {
    if (uint64_t{chunk.data} + chunk.length > harness.buffer.size()) Fail("a chunk ends behind the buffer");
    data = harness.buffer.data() + chunk.data;
  } else {
    const uint32_t slot = chunk.data / kSlotBytes, place = chunk.data % kSlotBytes;
    if (slot >= harness.frames.size()) Fail("a chunk lies in no frame of this batch");
    if (place + chunk.length > harness.frames[slot].length) Fail("a chunk ends behind its frame");
    data = harness.frames[slot].bytes.get() + place;
  }
  return {reinterpret_cast<const char*>(data), chunk.length};
}

void Keep(Harness& harness, const Chunk& chunk, const std::string& bytes) {
  if (!chunk.in_buffer) return;
  harness.kept.push_back({harness.buffer.data() + chunk.data, bytes});
}

void BeginBatch(Harness& harness) {
  for (const Kept& kept : harness.kept) {
    const std::string now(reinterpret_cast<const char*>(kept.data), kept.bytes.size());
    if (now != kept.bytes) Fail("a chunk's bytes changed within its batch");
  }
  harness.kept.clear();
  harness.frames.clear();
  harness.streams->BeginBatch();
}

void PrintChunk(Harness& harness, const Chunk& chunk) {
  const std::string bytes = BytesOf(harness, chunk);
  Keep(harness, chunk, bytes);
  printf(
      "{\"flow\":%u,\"direction\":%u,\"offset\":%lu,\"gap\":%u,\"flags\":%u,\"record\":%u,\"inBuffer\":%s,\"data\":\"",
      chunk.flow, chunk.direction, chunk.offset, chunk.gap, chunk.flags, chunk.record,
      chunk.in_buffer ? "true" : "false");
  for (const char byte : bytes) printf("%02x", static_cast<uint8_t>(byte));
  printf("\"}");
}

void PrintAnswer(Harness& harness, const std::vector<Chunk>& chunks, uint32_t count) {
  printf("{\"chunks\":[");
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) printf(",");
    PrintChunk(harness, chunks[i]);
  }
  printf("],\"buffered\":%lu}\n", harness.streams->buffered_bytes());
  fflush(stdout);
}

void Make(Harness& harness, std::istringstream& in) {
  StreamLimits limits = {};
  size_t buffer_bytes = 0;
  std::string overlap;
  in >> limits.flows >> buffer_bytes >> limits.per_flow_bytes >> limits.hold_ms >> overlap;
  limits.overlap = overlap == "last" ? OverlapPolicy::kLast : OverlapPolicy::kFirst;
  harness = {};
  harness.buffer.assign(buffer_bytes, 0xa5);
  harness.streams = StreamTable::Make(harness.buffer, limits);
}

std::vector<Chunk> Push(Harness& harness, std::istringstream& in, uint32_t* count) {
  uint32_t flow = 0, direction = 0, room = 0, wire_length = 0;
  uint64_t time_ms = 0;
  std::string hex;
  in >> flow >> direction >> time_ms >> room >> wire_length >> hex;
  const auto index = static_cast<uint32_t>(harness.frames.size());
  harness.frames.push_back(ReadHarnessFrame(hex));
  const HarnessFrame& frame = harness.frames.back();
  const Record record = frame.Parse(wire_length);
  std::vector<Chunk> chunks(room);
  *count = harness.streams->Push(flow, static_cast<uint8_t>(direction), record, static_cast<uint16_t>(index),
                                 frame.bytes.get(), index * kSlotBytes, time_ms * 1'000'000, chunks);
  return chunks;
}

std::vector<Chunk> End(Harness& harness, std::istringstream& in, uint32_t* count) {
  uint32_t flow = 0, room = 0;
  in >> flow >> room;
  std::vector<Chunk> chunks(room);
  *count = harness.streams->End(flow, chunks);
  return chunks;
}

void Run(Harness& harness, const std::string& line) {
  std::istringstream in(line);
  std::string command;
  in >> command;
  std::vector<Chunk> chunks;
  uint32_t count = 0;
  if (command == "make") Make(harness, in);
  if (command == "batch") BeginBatch(harness);
  if (command == "push") chunks = Push(harness, in, &count);
  if (command == "end") chunks = End(harness, in, &count);
  if (count > chunks.size()) Fail("more chunks than there was room for");
  PrintAnswer(harness, chunks, count);
}

}  // namespace

int main() {
  Harness harness;
  for (std::string line; std::getline(std::cin, line);) Run(harness, line);
  return 0;
}
