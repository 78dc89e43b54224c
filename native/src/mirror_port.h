// A port of a shadow: it receives what a port of the mirrored lane received, and lets go of what is transmitted.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "mirror_source.h"
#include "port.h"

namespace sluice {

class MirrorPort : public Port {
 public:
  struct Facts {
    bool reaches_host;
    std::array<uint8_t, 6> link_address;
  };

  // `facts`: of the mirrored lane's port.
  MirrorPort(LaneMemory memory, std::shared_ptr<MirrorSource> source, uint8_t index, const Facts& facts)
      : memory_(memory), source_(std::move(source)), index_(index), facts_(facts) {}

  // Only the port of the earliest frame has one, so that the order over all ports is that of the mirrored lane.
  uint64_t NextTime() override { return source_->NextIsOf(index_) ? source_->clock_ns() : UINT64_MAX; }

  uint32_t Receive(std::span<Frame> frames) override {
    uint32_t count = 0;
    while (count < frames.size() && source_->NextIsOf(index_) && source_->Take(memory_, &frames[count])) {
      counters_.receive_frames += 1;
      counters_.receive_bytes += frames[count++].length;
    }
    return count;
  }

  // The bytes stay in their slots until the turn is compared.
  uint32_t Transmit(std::span<const Frame> frames) override {
    for (const Frame& frame : frames) {
      source_->Keep(frame.offset / memory_.pool.slot_bytes());
      counters_.transmit_bytes += frame.length;
    }
    counters_.transmit_frames += frames.size();
    return static_cast<uint32_t>(frames.size());
  }

  void Flush() override {}
  bool reaches_host() const override { return facts_.reaches_host; }
  const std::array<uint8_t, 6>* link_address() const override { return &facts_.link_address; }
  bool delivers() const override { return false; }

 private:
  const LaneMemory memory_;
  const std::shared_ptr<MirrorSource> source_;
  const uint8_t index_;
  const Facts facts_;
};

}  // namespace sluice
