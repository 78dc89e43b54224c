#include "handover.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <bit>

namespace sluice {
namespace {

// A thousand of the largest frames, or twenty thousand of the smallest: more than a device's ring holds.
constexpr uint32_t kRingBytes = 2 << 20;

}  // namespace

std::shared_ptr<Handover> Handover::Make(uint32_t lanes, uint32_t flows) {
  if (lanes < 1 || lanes > kLanesMax) return nullptr;
  std::shared_ptr<Handover> handover(new Handover(lanes));
  handover->detours_ = std::make_unique<Detours>(flows);
  for (uint32_t from = 0; from < lanes; ++from) {
    handover->seats_[from].descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (handover->seats_[from].descriptor < 0) return nullptr;
    for (uint32_t to = 0; to < lanes; ++to) {
      if (from != to) handover->rings_[from * lanes + to] = std::make_unique<LaneRing>(kRingBytes);
    }
  }
  return handover;
}

Handover::~Handover() {
  for (const Seat& seat : seats_) {
    if (seat.descriptor >= 0) close(seat.descriptor);
  }
}

bool Handover::Give(uint32_t from, uint32_t to, const Frame& frame, uint8_t port, const uint8_t* bytes) {
  const HandedFrame handed = {
      .length = frame.length, .wire_length = frame.wire_length, .port = port, .link = frame.link};
  seats_[from].given |= 1u << to;
  return RingOf(from, to).Push(handed, bytes);
}

// A lane that goes to sleep says so before it looks at its rings for the last time; this looks after it has written.
void Handover::Wake(uint32_t from) {
  uint32_t given = seats_[from].given;
  if (given == 0) return;
  seats_[from].given = 0;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (; given != 0; given &= given - 1) {
    Seat& seat = seats_[static_cast<uint32_t>(std::countr_zero(given))];
    if (seat.sleeps.load(std::memory_order_relaxed) && seat.sleeps.exchange(false)) eventfd_write(seat.descriptor, 1);
  }
}

bool Handover::BeginSleep(uint32_t lane) {
  seats_[lane].sleeps.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (is_empty(lane)) return true;
  EndSleep(lane);
  return false;
}

bool Handover::is_empty(uint32_t lane) const {
  for (uint32_t from = 0; from < lanes_; ++from) {
    if (from != lane && !rings_[from * lanes_ + lane]->empty()) return false;
  }
  return true;
}

}  // namespace sluice
