// Queues of held fragments that share one pool of memory: frames move from one queue to another without being copied.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fragment_table.h"

namespace sluice {

inline constexpr uint32_t kNoIndex = UINT32_MAX;

struct HeldQueue {
  uint32_t head = kNoIndex;
  uint32_t tail = kNoIndex;
  uint32_t count = 0;
};

class HeldPool {
 public:
  explicit HeldPool(uint32_t capacity) : nodes_(capacity) {
    for (uint32_t node = 0; node < capacity; ++node) Link(free_, node);
  }

  bool full() const { return free_.count == 0; }

  // Not when the pool is full.
  void Push(HeldQueue& queue, const HeldFragment& held) {
    const uint32_t node = Unlink(free_);
    nodes_[node].held = held;
    Link(queue, node);
  }

  // Appends all of `from` to `to`.
  void Move(HeldQueue& from, HeldQueue& to) {
    if (from.count == 0) return;
    (to.count == 0 ? to.head : nodes_[to.tail].next) = from.head;
    to.tail = from.tail;
    to.count += from.count;
    from = {};
  }

  uint32_t Drain(HeldQueue& queue, std::span<HeldFragment> out) {
    uint32_t taken = 0;
    while (taken < out.size() && queue.count > 0) {
      const uint32_t node = Unlink(queue);
      out[taken++] = nodes_[node].held;
      Link(free_, node);
    }
    return taken;
  }

 private:
  struct Node {
    HeldFragment held;
    uint32_t next;
  };

  void Link(HeldQueue& queue, uint32_t node) {
    (queue.count == 0 ? queue.head : nodes_[queue.tail].next) = node;
    queue.tail = node;
    ++queue.count;
  }

  uint32_t Unlink(HeldQueue& queue) {
    const uint32_t node = queue.head;
    queue.head = nodes_[node].next;
    --queue.count;
    return node;
  }

  std::vector<Node> nodes_;
  HeldQueue free_;
};

}  // namespace sluice
