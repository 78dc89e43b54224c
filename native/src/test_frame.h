// One frame at a time that goes through the running chain to see what becomes of it. It enters as if a port had
// received it; where it would leave it is kept, and nothing of it is on the wire. Sent and taken by other threads than
// the lane's.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "layout.h"

namespace sluice {

class TestFrame {
 public:
  // The number of its flight; received frames count from 1.
  static constexpr uint64_t kNumber = UINT64_MAX;
  static constexpr uint32_t kBytesMax = 2048;

  struct Fate {
    uint8_t kind;  // layout::kOutcomeKinds*
    uint8_t to;    // index of the port, of a forwarded one
    int16_t hop;   // that decided, -1: the engine
    uint16_t reason;
    bool engine;  // whose reason it is
    uint32_t detail;
  };

  // ---- any other thread; one at a time ----

  // False if an earlier one has not ended yet, or it is too long.
  bool Send(uint32_t port, std::span<const uint8_t> bytes) {
    if (state_.load(std::memory_order_acquire) != kIdle || bytes.empty() || bytes.size() > kBytesMax) return false;
    Keep(bytes);
    port_ = port;
    state_.store(kWaiting, std::memory_order_release);
    return true;
  }

  // True once it has ended. `bytes` is what was kept of a forwarded one, valid until the next Send.
  bool Take(Fate* fate, std::span<const uint8_t>* bytes) {
    if (state_.load(std::memory_order_acquire) != kEnded) return false;
    *fate = fate_;
    *bytes = {bytes_.data(), fate_.kind == kForward ? length_ : 0};
    state_.store(kIdle, std::memory_order_release);
    return true;
  }

  // Nobody waits for it any more. If it is under way, it still ends before another can be sent.
  void Abandon() {
    if (Move(kWaiting, kIdle) || Move(kUnderWay, kAbandoned)) return;
    Move(kEnded, kIdle);
  }

  // ---- the lane's thread ----

  bool waiting() const { return state_.load(std::memory_order_relaxed) == kWaiting; }
  bool under_way() const {
    const State state = state_.load(std::memory_order_relaxed);
    return state == kUnderWay || state == kAbandoned;
  }
  // False if it was abandoned just now.
  bool Begin(uint32_t* port, std::span<const uint8_t>* bytes) {
    if (!Move(kWaiting, kUnderWay)) return false;
    *port = port_;
    *bytes = {bytes_.data(), length_};
    return true;
  }
  void End(const Fate& fate, std::span<const uint8_t> bytes) {
    fate_ = fate;
    if (fate.kind == kForward) Keep(bytes);
    if (!Move(kUnderWay, kEnded)) state_.store(kIdle, std::memory_order_release);
  }

 private:
  static constexpr uint8_t kForward = layout::kOutcomeKindsForward;
  enum State : uint8_t { kIdle, kWaiting, kUnderWay, kAbandoned, kEnded };

  bool Move(State from, State to) { return state_.compare_exchange_strong(from, to, std::memory_order_acq_rel); }

  void Keep(std::span<const uint8_t> bytes) {
    length_ = static_cast<uint32_t>(bytes.size());
    std::memcpy(bytes_.data(), bytes.data(), bytes.size());
  }

  std::atomic<State> state_ = kIdle;
  // Whose they are says the state: the sender's in kIdle, the lane's in kUnderWay and kAbandoned.
  uint32_t port_ = 0;
  uint32_t length_ = 0;
  Fate fate_{};
  std::array<uint8_t, kBytesMax> bytes_;
};

}  // namespace sluice
