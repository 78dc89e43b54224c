// What a lane tells the shadow of another generation.
#include <algorithm>
#include <utility>

#include "lane.h"

namespace sluice {

void Lane::SetMirror(uint32_t place, std::shared_ptr<Mirror> mirror) {
  std::shared_ptr<Mirror> freed;  // after the lock, for which the lane might wait
  const std::lock_guard lock(mirror_lock_);
  freed = std::exchange(next_mirrors_[place], std::move(mirror));
  mirror_changes_.fetch_or(1u << place, std::memory_order_release);
}

void Lane::FreeMirror(uint32_t place) {
  std::shared_ptr<Mirror> freed;
  const std::lock_guard lock(mirror_lock_);
  if ((mirror_changes_.load(std::memory_order_relaxed) >> place & 1) == 0) {
    freed = std::exchange(next_mirrors_[place], nullptr);
  }
}

void Lane::ExchangeMirrors() {
  const std::lock_guard lock(mirror_lock_);
  const uint32_t changes = mirror_changes_.exchange(0, std::memory_order_relaxed);
  for (uint32_t place = 0; place < layout::kMirrors; ++place) {
    if ((changes >> place & 1) == 0) continue;
    std::swap(mirrors_[place], next_mirrors_[place]);
    mirrors_missed_[place] = 0;
    if (next_mirrors_[place] && config_.flows) next_mirrors_[place]->StopNoting(*config_.flows);
  }
  mirrored_ = std::ranges::any_of(mirrors_, [](const auto& mirror) { return mirror != nullptr; });
}

void Lane::BeginMirrors() {
  if (mirror_changes_.load(std::memory_order_acquire) != 0) ExchangeMirrors();
  if (!mirrored_) return;
  rewrites_ = std::ranges::any_of(program_->hops, [](const Hop& hop) { return hop.writable; });
  for (const auto& mirror : mirrors_) {
    if (mirror) mirror->BeginTurn(clock_ns_, config_.flows.get());
  }
}

// Fragments that waited were mirrored when they came.
void Lane::MirrorFrames(uint32_t pending) {
  for (const auto& mirror : mirrors_) {
    if (!mirror) continue;
    for (uint32_t index = 0; index < pending; ++index) mirror->Forget(index);
    for (uint32_t index = pending; index < arrived_; ++index) {
      const Record& record = records_[index];
      mirror->Frame(index, record, flights_[index].frame, flights_[index].number, BytesOf(record));
    }
  }
}

void Lane::MirrorOutcome(uint32_t record_index, int32_t hop, uint32_t kind, uint32_t to, uint32_t reason,
                         uint32_t detail, bool engine) {
  const Flight& flight = flights_[record_index];
  const Record& record = records_[record_index];
  const MirroredOutcome outcome = {
      .reason = static_cast<uint16_t>(reason),
      .detail = detail,
      .hop = static_cast<int16_t>(hop),
      .kind = static_cast<uint8_t>(kind),
      .to = static_cast<uint8_t>(to),
      .engine = engine,
      .port = record.port,
      .built = flight.number == 0,
      .flow = record.flow,
  };
  const bool may_differ = kind == layout::kOutcomeKindsForward && rewrites_;
  const uint8_t* bytes = config_.umem->data() + flight.frame.offset;
  for (const auto& mirror : mirrors_) {
    if (mirror) mirror->Outcome(record_index, outcome, flight.frame, bytes, may_differ);
  }
}

}  // namespace sluice
