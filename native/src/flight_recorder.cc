#include "flight_recorder.h"

#include <algorithm>
#include <utility>

#include "page_copy.h"

namespace sluice {
namespace {

// Room that is there from the start, so that not every batch finds a page missing.
constexpr size_t kUsualBatchBytes = 64 << 10;

}  // namespace

std::shared_ptr<FlightRecorder> FlightRecorder::Make(uint32_t batches, uint32_t globals) {
  const size_t usual = std::min(kCallsBytes, batches * kUsualBatchBytes);
  const auto make = [usual] {
    return Half{PrivateMemory::Make(kCallsBytes, usual), PrivateMemory::Make(kStateBytes, 0)};
  };
  Half first = make();
  Half second = make();
  for (const Half* half : {&first, &second}) {
    if (half->calls.data() == nullptr || half->state.data() == nullptr) return nullptr;
  }
  return std::shared_ptr<FlightRecorder>(new FlightRecorder(batches, globals, std::move(first), std::move(second)));
}

FlightRecorder::FlightRecorder(uint32_t batches, uint32_t globals, Half first, Half second)
    : batches_(batches), globals_(globals), halves_{std::move(first), std::move(second)} {
  for (Half& half : halves_) half.globals.resize(globals);
}

void FlightRecorder::Watch(std::span<const uint8_t> memory, std::span<const uint8_t> counters,
                           std::vector<std::shared_ptr<Segment>> segments) {
  memory_ = memory;
  counters_ = counters;
  segments_ = std::move(segments);
  for (Half& half : halves_) half.parts.resize(2 + segments_.size());
  Reset();
}

void FlightRecorder::Reset() {
  for (Half& half : halves_) half.Clear();
  due_ = 0;
}

uint8_t* FlightRecorder::Add(size_t bytes, bool is_batch) {
  if (off_) return nullptr;
  if (bytes > kCallsBytes) {
    Reset();
    return nullptr;
  }
  Half* half = &halves_[current_];
  if (bytes > kCallsBytes - half->bytes || (is_batch && half->batches == batches_)) {
    current_ ^= 1;
    half = &halves_[current_];
    half->Clear();
  }
  if (half->bytes == 0) due_ = 1;
  uint8_t* to = static_cast<uint8_t*>(half->calls.data()) + half->bytes;
  half->bytes += bytes;
  half->batches += is_batch;
  return to;
}

bool FlightRecorder::TakeState() {
  Half& half = halves_[current_];
  due_ = 0;
  half.has_state = CopyParts(&half);
  off_ = !half.has_state;
  if (off_) Reset();
  return half.has_state;
}

bool FlightRecorder::CopyParts(Half* half) {
  std::span<uint8_t> room(static_cast<uint8_t*>(half->state.data()), kStateBytes);
  size_t part = 0;
  const auto take = [&](std::optional<size_t> bytes) {
    if (!bytes) return false;
    half->parts[part++] = *bytes;
    room = room.subspan(*bytes);
    return true;
  };
  if (!take(CopyPages(memory_, room)) || counters_.size() > room.size()) return false;
  std::copy(counters_.begin(), counters_.end(), room.begin());
  take(counters_.size());
  for (const auto& segment : segments_) {
    if (!take(CopyPages(*segment, room))) return false;
  }
  std::copy(globals_.begin(), globals_.end(), half->globals.begin());
  return true;
}

bool FlightRecorder::Read(Recording* recording) const {
  const Half& newer = halves_[current_];
  const Half& older = halves_[current_ ^ 1];
  const Half& first = older.has_state ? older : newer;
  if (!first.has_state) return false;
  recording->globals = first.globals;
  const auto* at = static_cast<const uint8_t*>(first.state.data());
  for (const size_t bytes : first.parts) {
    recording->parts.push_back({at, bytes});
    at += bytes;
  }
  const auto calls_of = [](const Half& half) {
    return std::span<const uint8_t>(static_cast<const uint8_t*>(half.calls.data()), half.bytes);
  };
  recording->calls[0] = calls_of(first);
  recording->calls[1] = &first == &newer ? std::span<const uint8_t>() : calls_of(newer);
  return true;
}

}  // namespace sluice
