// Reports of flows that ended, of some of the drops and of events that functions raised, for readers in other
// processes: a ring in a file that the lane's thread writes without waiting for anybody. The oldest are overwritten.
//
//   │ block │ block │ report │ report │ report │ padding │ block …
//                                     ▲ head: published     ▲ reserved: may be half written
//
// A reader copies what is before `head`, then looks at `reserved`: what is more than the ring's size before that is not
// to be believed. Every block begins with a report, so that a reader which was overtaken finds its way again; the
// reports' numbers say how many it has lost. The words of what is wanted are written by the engine's main thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "layout.h"
#include "segment.h"

namespace sluice {

class ReportRing {
 public:
  static constexpr uint64_t kBytes = uint64_t{layout::kReportHeaderBytes} + layout::kReportRingBytes;

  // Goes on behind the last whole report of an earlier lane. Null if the segment is too small.
  static std::unique_ptr<ReportRing> Attach(std::shared_ptr<Segment> segment);

  // Of the generation that has the lane: what its numbers mean.
  void SetNames(uint32_t names) { names_ = names; }

  // Room for the content of a report, which End publishes.
  uint8_t* Begin(uint32_t kind, uint32_t flow, uint32_t serial, uint32_t bytes);
  void End() { Word64(layout::kReportHeadOffset).store(next_head_, std::memory_order_release); }

  // Whether this drop is to be reported: one of so many, as long as there are not too many in the second.
  bool WantsDrop(uint64_t now_ns) {
    const uint32_t every = Word32(layout::kReportDropEveryOffset).load(std::memory_order_relaxed);
    if (every == 0 || ++dropped_ < every) return false;
    dropped_ = 0;
    return drops_.Take(now_ns, Word32(layout::kReportDropsPerSecondOffset).load(std::memory_order_relaxed));
  }
  uint32_t drop_every() { return Word32(layout::kReportDropEveryOffset).load(std::memory_order_relaxed); }
  bool WantsEvent(uint64_t now_ns) {
    return events_.Take(now_ns, Word32(layout::kReportEventsPerSecondOffset).load(std::memory_order_relaxed));
  }
  uint64_t drops_skipped() const { return drops_.skipped; }
  uint64_t events_skipped() const { return events_.skipped; }

  // Flows are counted on where an earlier process ended.
  uint32_t serial() { return Word32(layout::kReportSerialOffset).load(std::memory_order_relaxed); }
  void SetSerial(uint32_t serial) { Word32(layout::kReportSerialOffset).store(serial, std::memory_order_relaxed); }

 private:
  // So many in each second of the lane's clock.
  struct Allowance {
    uint64_t second = 0;
    uint32_t taken = 0;
    uint64_t skipped = 0;
    bool Take(uint64_t now_ns, uint32_t limit);
  };

  explicit ReportRing(std::shared_ptr<Segment> segment);
  std::atomic_ref<uint64_t> Word64(uint32_t offset) const {
    return std::atomic_ref(*reinterpret_cast<uint64_t*>(segment_->data() + offset));
  }
  std::atomic_ref<uint32_t> Word32(uint32_t offset) const {
    return std::atomic_ref(*reinterpret_cast<uint32_t*>(segment_->data() + offset));
  }
  uint8_t* At(uint64_t position) const {
    return segment_->data() + layout::kReportHeaderBytes + position % layout::kReportRingBytes;
  }

  const std::shared_ptr<Segment> segment_;
  uint32_t names_ = 0;
  uint64_t next_head_ = 0;
  uint32_t dropped_ = 0;
  Allowance drops_;
  Allowance events_;
};

}  // namespace sluice
