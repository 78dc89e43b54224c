#include "report_ring.h"

#include <sys/mman.h>

#include <cstring>

namespace sluice {
namespace {

template <typename T>
void Put(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof(value));
}

}  // namespace

std::unique_ptr<ReportRing> ReportRing::Attach(std::shared_ptr<Segment> segment) {
  if (!segment || segment->bytes() < kBytes) return nullptr;
  return std::unique_ptr<ReportRing>(new ReportRing(std::move(segment)));
}

ReportRing::ReportRing(std::shared_ptr<Segment> segment) : segment_(std::move(segment)) {
  // So that no report waits for a page (Linux 5.14; otherwise the first ones do).
  madvise(segment_->data(), kBytes, MADV_POPULATE_WRITE);
  const auto layout = Word64(layout::kReportLayoutOffset);
  if (layout.load() == layout::kReportLayout) return;
  std::memset(segment_->data(), 0, layout::kReportHeaderBytes);
  Word32(layout::kReportDropEveryOffset).store(layout::kReportDropEvery);
  Word32(layout::kReportDropsPerSecondOffset).store(layout::kReportDropsPerSecond);
  Word32(layout::kReportEventsPerSecondOffset).store(layout::kReportEventsPerSecond);
  layout.store(layout::kReportLayout);
}

uint8_t* ReportRing::Begin(uint32_t kind, uint32_t flow, uint32_t serial, uint32_t bytes) {
  const uint32_t total = (layout::kReportHeadBytes + bytes + 7) & ~7u;
  const uint64_t head = Word64(layout::kReportHeadOffset).load(std::memory_order_relaxed);
  const auto left = static_cast<uint32_t>(layout::kReportBlockBytes - head % layout::kReportBlockBytes);
  const uint32_t padding = left < total ? left : 0;
  next_head_ = head + padding + total;
  // Seen before any byte of what follows: a reader that finds these bytes knows that they may be new.
  Word64(layout::kReportReservedOffset).store(next_head_, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  if (padding > 0) {
    Put(At(head) + layout::kReportBytes, padding);
    Put(At(head) + layout::kReportKind, layout::kReportKindsPadding);
  }
  uint8_t* entry = At(head + padding);
  const auto sequence = Word64(layout::kReportSequenceOffset);
  const uint64_t number = sequence.load(std::memory_order_relaxed);
  sequence.store(number + 1, std::memory_order_relaxed);
  Put(entry + layout::kReportBytes, total);
  Put(entry + layout::kReportKind, kind);
  Put(entry + layout::kReportSequence, number);
  Put(entry + layout::kReportNames, names_);
  Put(entry + layout::kReportFlow, flow);
  Put(entry + layout::kReportSerial, serial);
  return entry + layout::kReportHeadBytes;
}

bool ReportRing::Allowance::Take(uint64_t now_ns, uint32_t limit) {
  const uint64_t now = now_ns / 1'000'000'000;
  if (now != second) {
    second = now;
    taken = 0;
  }
  if (taken >= limit) return ++skipped, false;
  return ++taken, true;
}

}  // namespace sluice
