#include "frame_pool.h"

#include <algorithm>

namespace sluice {

FramePool::FramePool(uint32_t slots, uint32_t slot_bytes)
    : slots_(slots),
      slot_bytes_(slot_bytes),
      top_(slots),
      stack_(std::make_unique<uint32_t[]>(slots)),
      owner_(std::make_unique<SlotOwner[]>(slots)) {
  for (uint32_t slot = 0; slot < slots; ++slot) stack_[slot] = slots - 1 - slot;
}

uint32_t FramePool::Take(std::span<uint32_t> out, SlotOwner owner) {
  const auto count = std::min<uint32_t>(top_, out.size());
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = stack_[--top_];
    owner_[out[i]] = owner;
  }
  return count;
}

FramePool::Audit FramePool::Count() const {
  Audit audit{};
  for (uint32_t slot = 0; slot < slots_; ++slot) ++audit.owned[static_cast<int>(owner_[slot])];
  audit.stack_agrees = audit.owned[static_cast<int>(SlotOwner::kFree)] == top_;
  return audit;
}

}  // namespace sluice
