// What lanes and functions exchange besides batch and results: stream chunks, batched events, outboxes.
#include <algorithm>
#include <cstring>

#include "lane.h"
#include "parser.h"

namespace sluice {
namespace {

template <typename T>
void Put(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof(value));
}

uint16_t Word(std::span<const uint8_t> bytes, size_t at) {
  uint16_t value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

constexpr uint16_t kNoPosition = UINT16_MAX;
constexpr size_t kTupleBytes = 36;

// The body of a message that has at least so many bytes.
Endpoints ReadTuple(std::span<const uint8_t> body) {
  Endpoints tuple;
  std::memcpy(tuple.source, body.data(), sizeof(tuple.source));
  std::memcpy(tuple.destination, body.data() + 16, sizeof(tuple.destination));
  tuple.source_port = Word(body, 32);
  tuple.destination_port = Word(body, 34);
  return tuple;
}

}  // namespace

// ---- to the function ----

// The chunks of a hop's own frames, each with its frame's place in the batch.
void Lane::FillChunks(const Function& function, const Queue& queue) {
  std::array<uint16_t, layout::kRecordsCapacity> position;
  position.fill(kNoPosition);
  for (uint32_t i = 0; i < queue.count; ++i) position[queue.records[i]] = static_cast<uint16_t>(i);
  uint32_t count = 0;
  if (config_.flows) {
    for (const Chunk& chunk : config_.flows->chunks()) {
      if (position[chunk.record] == kNoPosition) continue;
      uint8_t* entry = function.chunks + abi::kChunksEntries + count++ * abi::kChunkBytes;
      const uint32_t base = chunk.in_buffer ? program_->stream_buffer_address : config_.frames_address;
      Put(entry + abi::kChunkOffset, chunk.offset);
      Put(entry + abi::kChunkData, chunk.length == 0 ? 0 : base + chunk.data);
      Put(entry + abi::kChunkLength, chunk.length);
      Put(entry + abi::kChunkFlow, chunk.flow);
      Put(entry + abi::kChunkGap, chunk.gap);
      Put(entry + abi::kChunkInput, position[chunk.record]);
      Put(entry + abi::kChunkDirection, chunk.direction);
      Put(entry + abi::kChunkFlags, chunk.flags);
    }
  }
  Put(function.chunks + abi::kChunksCount, count);
}

bool Lane::FillEvents(uint32_t index) {
  const Function& function = program_->functions[index];
  if (function.events == nullptr || !config_.flows) return false;
  std::array<FlowEvent, abi::kEventsCapacity> events;
  uint32_t missed;
  const uint32_t count = config_.flows->TakeEvents(function.subscriber, events, &missed);
  for (uint32_t i = 0; i < count; ++i) {
    uint8_t* entry = function.events + abi::kEventsEntries + i * abi::kEventEntryBytes;
    Put(entry + abi::kEventEntryTime, events[i].time_ns);
    Put(entry + abi::kEventEntryFlow, events[i].flow);
    Put(entry + abi::kEventEntryEvent, events[i].event);
    Put(entry + abi::kEventEntryValue, events[i].value);
    Put(entry + abi::kEventEntryDirection, events[i].direction);
  }
  Put(function.events + abi::kEventsCount, count);
  Put(function.events + abi::kEventsMissed, missed);
  batch_->count = 0;
  batch_->time_ns = clock_ns_;
  if (function.outbox) OutboxReader::Clear(function.outbox);
  if (count == 0 && missed == 0) return false;
  RecordCall(layout::kCallKindsNfEvents, index, 0);
  return true;
}

// ---- from the function ----

void Lane::DrainEvents(uint32_t function) {
  Drain(function, nullptr);
  Transmit();
}

// `queue` holds the frames that the function was called for: what it says of their flows shows in their records.
void Lane::Drain(uint32_t index, const Queue* queue) {
  const Function& function = program_->functions[index];
  if (function.outbox == nullptr) return;
  OutboxReader outbox(function.outbox);
  Message message;
  while (outbox.Next(&message)) {
    if (!Obey(function, message, queue)) ++function.counters[layout::kFunctionCountersRefusedMessages];
  }
  if (!outbox.sound()) ++function.counters[layout::kFunctionCountersBadOutboxes];
  function.counters[layout::kFunctionCountersOutboxOverflows] += outbox.refused();
}

// Carries out one message; false if the function may not ask for that, or it cannot be done.
bool Lane::Obey(const Function& function, const Message& message, const Queue* queue) {
  if (message.kind == abi::kMessageEmit) {
    if (message.flags > 7 || message.flags > message.body.size()) return false;
    return Emit(message.value, message.body.first(message.body.size() - message.flags));
  }
  if (message.kind == abi::kMessageLog) return Log(function, message);
  if (!config_.flows) return false;
  FlowEngine& flows = *config_.flows;
  switch (message.kind) {
    case abi::kMessageBind: {
      const uint16_t version = message.flags;
      if (message.body.size() < kTupleBytes || (version != 0 && version != 4 && version != 6)) return false;
      return flows.Bind(message.flow, ReadTuple(message.body), static_cast<uint8_t>(version));
    }
    case abi::kMessageShift:
      return message.flags <= 1 && flows.Shift(message.flow, message.flags, message.value);
    case abi::kMessageExpect: {
      if (message.body.size() < kTupleBytes || message.flags > 0xff) return false;
      return flows.Expect(message.flow, message.flags, ReadTuple(message.body), message.value, clock_ns_);
    }
    case abi::kMessageEvent: {
      const uint32_t event = message.flags < 32 ? 1u << message.flags : 0;
      if ((event & function.defines) == 0 || !flows.IsLive(message.flow)) return false;
      flows.Raise({clock_ns_, message.flow, event, message.value, 0});
      if (config_.reports) ReportEvent(function, message.flow, event, message.value);
      for (uint32_t i = 0; queue != nullptr && i < queue->count; ++i) {
        Record& record = records_[queue->records[i]];
        if (record.flow == message.flow) record.events |= event;
      }
      return true;
    }
    case abi::kMessageTimeout:
      return flows.SetTimeout(message.flow, message.value);
    case abi::kMessageClose:
      return flows.Close(message.flow, clock_ns_);
    case abi::kMessageLabel: {
      if ((message.value & ~function.labels) != 0) return false;
      if (!flows.SetLabels(message.flow, message.value, message.flags & 1)) return false;
      const uint32_t labels = flows.table().state(message.flow).labels;
      for (uint32_t i = 0; queue != nullptr && i < queue->count; ++i) {
        Record& record = records_[queue->records[i]];
        if (record.flow == message.flow) record.labels = labels;
      }
      return true;
    }
    default:
      return false;
  }
}

// A frame that a function built leaves at once, past all functions.
bool Lane::Emit(uint32_t port, std::span<const uint8_t> bytes) {
  if (port >= active_ || bytes.empty() || bytes.size() > config_.slot_bytes - kHeadroomBytes) return false;
  if (extra_ == layout::kRecordsCapacity - abi::kBatchCapacity) return false;
  uint32_t slot;
  if (pool_.Take({&slot, 1}, SlotOwner::kLane) == 0) return false;
  const uint32_t index = abi::kBatchCapacity + extra_++;
  const uint32_t offset = slot * config_.slot_bytes + kHeadroomBytes;
  const auto length = static_cast<uint32_t>(bytes.size());
  std::memcpy(config_.umem->data() + offset, bytes.data(), length);
  flights_[index] = {{offset, length, length, abi::kLinkEthernet, false, clock_ns_}, 0, static_cast<uint8_t>(port)};
  is_routed_[index] = is_turned_[index] = false;
  records_[index] = {};
  records_[index].frame = config_.frames_address + offset;
  records_[index].length = length;
  records_[index].wire_length = length;
  records_[index].port = static_cast<uint8_t>(port);
  Count(layout::kLaneCountersEmitted);
  Send(index, -1 - static_cast<Target>(port), -1);
  return true;
}

bool Lane::Log(const Function& function, const Message& message) {
  if (log_.size() + message.body.size() + kLogHeadBytes > kLogBytes) {
    ++Use(layout::kLaneUseCountersLogLost);
    return false;
  }
  const auto index = static_cast<uint32_t>(&function - program_->functions.data());
  const uint32_t head[] = {index, message.flags, static_cast<uint32_t>(message.body.size())};
  const auto* bytes = reinterpret_cast<const uint8_t*>(head);
  log_.insert(log_.end(), bytes, bytes + sizeof(head));
  log_.insert(log_.end(), message.body.begin(), message.body.end());
  return true;
}

}  // namespace sluice
