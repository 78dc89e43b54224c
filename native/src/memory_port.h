// A port in memory: a program puts frames in and takes out what was transmitted; or, looped, whatever is transmitted is
// received again without a copy, so that a set of frames circulates for as long as a bench wants. For tests and
// benches.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "port.h"

namespace sluice {

class MemoryPort : public Port {
 public:
  struct Packet {
    std::vector<uint8_t> bytes;
    uint32_t wire_length;
    uint8_t link;
    uint64_t time_ns;
  };
  static constexpr uint32_t kQueueCapacity = 65536;

  MemoryPort(LaneMemory memory, bool looped)
      : memory_(memory), looped_(looped), ring_(looped ? memory.pool.slots() : 0) {}
  ~MemoryPort() override = default;

  // Queues a frame for Receive; false if no slot can hold it, none is free (looped), or the queue is full.
  bool Inject(Packet packet);

  // What was transmitted since the last call, in order.
  std::vector<Packet> Drain();

  uint32_t Receive(std::span<Frame> frames) override;
  uint32_t Transmit(std::span<const Frame> frames) override;
  void Flush() override {}
  uint64_t NextTime() override;

 private:
  uint32_t ReceiveLooped(std::span<Frame> frames);
  bool InjectLooped(const Packet& packet);
  Frame Store(uint32_t slot, const Packet& packet) const;

  LaneMemory memory_;
  const bool looped_;
  std::vector<Frame> ring_;  // looped: a place for every slot
  size_t head_ = 0;
  size_t tail_ = 0;
  std::deque<Packet> queued_;
  std::vector<Packet> transmitted_;
};

}  // namespace sluice
