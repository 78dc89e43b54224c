// The slots of one lane's UMEM: who owns each, and the stack of those that nobody does.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace sluice {

// Every slot has exactly one owner at any time; the counts per owner add up to the number of slots.
enum class SlotOwner : uint8_t { kFree, kFill, kLane, kTransmit, kCount };

class FramePool {
 public:
  FramePool(uint32_t slots, uint32_t slot_bytes);
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  uint32_t slots() const { return slots_; }
  uint32_t slot_bytes() const { return slot_bytes_; }
  uint32_t free() const { return top_; }

  // Takes up to out.size() free slots for `owner`; returns how many.
  uint32_t Take(std::span<uint32_t> out, SlotOwner owner);

  void Move(uint32_t slot, SlotOwner to) { owner_[slot] = to; }

  // Gives a slot back. A slot that is free already is not taken twice: it is counted in double_frees().
  void Release(uint32_t slot) {
    if (owner_[slot] == SlotOwner::kFree) {
      ++double_frees_;
      return;
    }
    owner_[slot] = SlotOwner::kFree;
    stack_[top_++] = slot;
  }

  uint64_t double_frees() const { return double_frees_; }

  // Slots per owner, counted one by one: the proof that none leaked. Not for the packet path.
  struct Audit {
    uint32_t owned[static_cast<int>(SlotOwner::kCount)];
    bool stack_agrees;
  };
  Audit Count() const;

 private:
  const uint32_t slots_;
  const uint32_t slot_bytes_;
  uint32_t top_;
  uint64_t double_frees_ = 0;
  std::unique_ptr<uint32_t[]> stack_;
  std::unique_ptr<SlotOwner[]> owner_;
};

}  // namespace sluice
