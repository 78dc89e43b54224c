// Which flow numbers are free. A number rests before it is used again, so that who still holds it from a flow that
// ended does not at once mean another one; new numbers come in order, so that memory is touched only as far as it is
// needed.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace sluice {

class FlowNumbers {
 public:
  // `used`: the highest number that was ever used. None is free until it is given.
  static std::unique_ptr<FlowNumbers> Make(uint32_t capacity, uint32_t used) {
    auto* ring = static_cast<uint32_t*>(std::calloc(capacity, sizeof(uint32_t)));
    if (ring == nullptr) return nullptr;
    return std::unique_ptr<FlowNumbers>(new FlowNumbers(ring, capacity, used));
  }

  // 0 if none is free.
  uint32_t Take() {
    if (used_ < capacity_ && free_ < kResting) return ++used_;
    if (free_ == 0) return 0;
    const uint32_t flow = ring_[head_];
    head_ = head_ + 1 == capacity_ ? 0 : head_ + 1;
    --free_;
    return flow;
  }

  void Give(uint32_t flow) {
    const uint64_t tail = uint64_t{head_} + free_;
    ring_[tail < capacity_ ? tail : tail - capacity_] = flow;
    ++free_;
  }

  uint32_t used() const { return used_; }

 private:
  static constexpr uint32_t kResting = 1024;

  struct Free {
    void operator()(uint32_t* ring) const { std::free(ring); }
  };

  FlowNumbers(uint32_t* ring, uint32_t capacity, uint32_t used) : ring_(ring), capacity_(capacity), used_(used) {}

  const std::unique_ptr<uint32_t[], Free> ring_;  // the free numbers, longest free first
  const uint32_t capacity_;
  uint32_t used_;
  uint32_t head_ = 0;
  uint32_t free_ = 0;
};

}  // namespace sluice
