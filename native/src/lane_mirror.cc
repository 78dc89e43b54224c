// What a lane tells the shadow of another generation.
#include <algorithm>
#include <utility>

#include "lane.h"

namespace sluice {

void Lane::SetMirror(std::shared_ptr<Mirror> mirror) {
  std::shared_ptr<Mirror> freed;  // after the lock, for which the lane might wait
  const std::lock_guard lock(mirror_lock_);
  freed = std::exchange(next_mirror_, std::move(mirror));
  mirror_changes_.store(true, std::memory_order_release);
}

void Lane::FreeMirror() {
  std::shared_ptr<Mirror> freed;
  const std::lock_guard lock(mirror_lock_);
  if (!mirror_changes_.load(std::memory_order_relaxed)) freed = std::exchange(next_mirror_, nullptr);
}

void Lane::BeginMirror() {
  if (mirror_changes_.load(std::memory_order_acquire)) {
    const std::lock_guard lock(mirror_lock_);
    std::swap(mirror_, next_mirror_);
    mirror_missed_ = 0;
    if (config_.flows) config_.flows->NoteTouched(nullptr);
    mirror_changes_.store(false, std::memory_order_relaxed);
  }
  if (!mirror_) return;
  rewrites_ = std::ranges::any_of(program_->hops, [](const Hop& hop) { return hop.writable; });
  mirror_->BeginTurn(clock_ns_, config_.flows.get());
}

// Fragments that waited were mirrored when they came.
void Lane::MirrorFrames(uint32_t pending) {
  for (uint32_t index = 0; index < pending; ++index) mirror_->Forget(index);
  for (uint32_t index = pending; index < arrived_; ++index) {
    const Record& record = records_[index];
    mirror_->Frame(index, record, flights_[index].frame, flights_[index].number, BytesOf(record));
  }
}

void Lane::MirrorOutcome(uint32_t record_index, int32_t hop, uint32_t kind, uint32_t to, uint32_t reason,
                         uint32_t detail, bool engine) {
  const Frame& frame = flights_[record_index].frame;
  const bool may_differ = kind == layout::kOutcomeKindsForward && rewrites_;
  mirror_->Outcome(record_index,
                   {.reason = static_cast<uint16_t>(reason),
                    .detail = detail,
                    .hop = static_cast<int16_t>(hop),
                    .kind = static_cast<uint8_t>(kind),
                    .to = static_cast<uint8_t>(to),
                    .engine = engine},
                   frame, may_differ ? config_.umem->data() + frame.offset : nullptr);
}

}  // namespace sluice
