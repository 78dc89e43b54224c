#include "lane_ring.h"

#include <cstring>

namespace sluice {
namespace {

constexpr uint32_t kRingEnd = UINT32_MAX;

uint32_t EntryBytes(uint32_t length) {
  return static_cast<uint32_t>(sizeof(HandedFrame)) + ((length + 7u) & ~uint32_t{7});
}

}  // namespace

LaneRing::LaneRing(uint32_t bytes) : size_(bytes), ring_(std::make_unique<uint8_t[]>(bytes)) {}

bool LaneRing::HasRoom(uint32_t length) {
  const uint32_t wanted = EntryBytes(length);
  const uint64_t head = head_.load(std::memory_order_relaxed);
  const auto left = size_ - static_cast<uint32_t>(head & (size_ - 1));
  const uint64_t end = head + (left < wanted ? left : 0) + wanted;
  if (end - tail_seen_ > size_) tail_seen_ = tail_.load(std::memory_order_acquire);
  return end - tail_seen_ <= size_;
}

bool LaneRing::Push(const HandedFrame& frame, const uint8_t* bytes) {
  if (!HasRoom(frame.length)) return false;
  const uint32_t wanted = EntryBytes(frame.length);
  uint64_t head = head_.load(std::memory_order_relaxed);
  const auto left = size_ - static_cast<uint32_t>(head & (size_ - 1));
  const uint32_t skipped = left < wanted ? left : 0;
  if (skipped > 0) {
    std::memcpy(&ring_[head & (size_ - 1)], &kRingEnd, sizeof(kRingEnd));
    head += skipped;
  }
  uint8_t* at = &ring_[head & (size_ - 1)];
  HandedFrame entry = frame;
  entry.bytes = wanted;
  std::memcpy(at, &entry, sizeof(entry));
  std::memcpy(at + sizeof(entry), bytes, frame.length);
  head_.store(head + wanted, std::memory_order_release);
  return true;
}

const HandedFrame* LaneRing::Front() {
  uint64_t tail = tail_.load(std::memory_order_relaxed);
  if (tail == head_seen_) {
    head_seen_ = head_.load(std::memory_order_acquire);
    if (tail == head_seen_) return nullptr;
  }
  const auto* entry = reinterpret_cast<const HandedFrame*>(&ring_[tail & (size_ - 1)]);
  if (entry->bytes != kRingEnd) return entry;
  tail += size_ - (tail & (size_ - 1));
  tail_.store(tail, std::memory_order_release);
  return reinterpret_cast<const HandedFrame*>(ring_.get());
}

void LaneRing::Pop() {
  const uint64_t tail = tail_.load(std::memory_order_relaxed);
  const auto* entry = reinterpret_cast<const HandedFrame*>(&ring_[tail & (size_ - 1)]);
  tail_.store(tail + entry->bytes, std::memory_order_release);
}

}  // namespace sluice
