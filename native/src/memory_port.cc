#include "memory_port.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice {

bool MemoryPort::Inject(Packet packet) {
  if (packet.bytes.size() > memory_.pool.slot_bytes() - kHeadroomBytes) return false;
  if (looped_) return InjectLooped(packet);
  if (queued_.size() >= kQueueCapacity) return false;
  queued_.push_back(std::move(packet));
  return true;
}

bool MemoryPort::InjectLooped(const Packet& packet) {
  uint32_t slot;
  if (memory_.pool.Take({&slot, 1}, SlotOwner::kTransmit) == 0) return false;
  ring_[tail_++ % ring_.size()] = Store(slot, packet);
  return true;
}

Frame MemoryPort::Store(uint32_t slot, const Packet& packet) const {
  const uint32_t offset = slot * memory_.pool.slot_bytes() + kHeadroomBytes;
  std::memcpy(memory_.umem + offset, packet.bytes.data(), packet.bytes.size());
  return {offset, static_cast<uint32_t>(packet.bytes.size()), packet.wire_length, packet.link, false, packet.time_ns};
}

std::vector<MemoryPort::Packet> MemoryPort::Drain() { return std::exchange(transmitted_, {}); }

uint64_t MemoryPort::NextTime() {
  if (looped_) return head_ == tail_ ? UINT64_MAX : ring_[head_ % ring_.size()].time_ns;
  return queued_.empty() ? UINT64_MAX : queued_.front().time_ns;
}

uint32_t MemoryPort::Receive(std::span<Frame> frames) {
  if (looped_) return ReceiveLooped(frames);
  const auto wanted = std::min(frames.size(), queued_.size());
  uint32_t count = 0;
  uint32_t slot;
  while (count < wanted && memory_.pool.Take({&slot, 1}, SlotOwner::kLane) == 1) {
    frames[count] = Store(slot, queued_.front());
    counters_.receive_frames += 1;
    counters_.receive_bytes += frames[count++].length;
    queued_.pop_front();
  }
  return count;
}

uint32_t MemoryPort::ReceiveLooped(std::span<Frame> frames) {
  const auto count = static_cast<uint32_t>(std::min(frames.size(), tail_ - head_));
  for (uint32_t i = 0; i < count; ++i) {
    frames[i] = ring_[head_++ % ring_.size()];
    memory_.pool.Move(frames[i].offset / memory_.pool.slot_bytes(), SlotOwner::kLane);
    counters_.receive_bytes += frames[i].length;
  }
  counters_.receive_frames += count;
  return count;
}

uint32_t MemoryPort::Transmit(std::span<const Frame> frames) {
  for (const Frame& frame : frames) {
    const uint32_t slot = frame.offset / memory_.pool.slot_bytes();
    if (looped_) {
      ring_[tail_++ % ring_.size()] = frame;
      memory_.pool.Move(slot, SlotOwner::kTransmit);
    } else {
      const uint8_t* start = memory_.umem + frame.offset;
      transmitted_.push_back({{start, start + frame.length}, frame.wire_length, frame.link, frame.time_ns});
      memory_.pool.Release(slot);
    }
    counters_.transmit_bytes += frame.length;
  }
  counters_.transmit_frames += frames.size();
  return static_cast<uint32_t>(frames.size());
}

}  // namespace sluice
