#include "handover.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

namespace sluice {
namespace {

// A thousand of the largest frames, or twenty thousand of the smallest: more than a device's ring holds.
constexpr uint32_t kRingBytes = 2 << 20;
// A lane that is never done does not keep flows from their way for ever: looks of whoever waits.
constexpr uint32_t kWaitsMax = 200;

}  // namespace

std::shared_ptr<Handover> Handover::Make(uint32_t lanes, uint32_t flows, std::unique_ptr<SpreadRule> rule) {
  std::shared_ptr<Handover> handover(new Handover());
  handover->detours_ = std::make_unique<Detours>(flows);
  if (!handover->AddLanes(lanes)) return nullptr;
  const auto count = static_cast<uint8_t>(lanes);
  const uint8_t number = handover->NumberOf(std::move(rule), 0);
  handover->spread_ = Spread{count, count, 0, number, number};
  return handover;
}

bool Handover::AddLanes(uint32_t lanes) {
  if (lanes < 1 || lanes > kLanesMax) return false;
  const uint32_t before = this->lanes();
  for (uint32_t lane = before; lane < lanes; ++lane) {
    seats_[lane].descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (seats_[lane].descriptor < 0) return false;
    for (uint32_t other = 0; other < lane; ++other) {
      rings_[lane * kLanesMax + other] = std::make_unique<LaneRing>(kRingBytes);
      rings_[other * kLanesMax + lane] = std::make_unique<LaneRing>(kRingBytes);
    }
  }
  if (lanes > before) lanes_.store(lanes, std::memory_order_release);
  return true;
}

void Handover::NoteOwn(const OwnAddresses& addresses) {
  const std::lock_guard lock(own_lock_);
  own_ = addresses;
}

OwnAddresses Handover::own() const {
  const std::lock_guard lock(own_lock_);
  return own_;
}

std::shared_ptr<HostTable> Handover::hosts() {
  std::call_once(hosts_made_, [this] { hosts_ = std::make_shared<HostTable>(); });
  return hosts_;
}

std::shared_ptr<RouteMirror> Handover::FollowRoutes(SystemError* error) {
  const std::lock_guard lock(routes_lock_);
  if (!routes_) routes_ = RouteMirror::Follow(error);
  return routes_;
}

// Going back before all have moved: whoever has a flow finds its lane either way.
void Handover::SpreadOver(uint32_t lanes, std::unique_ptr<SpreadRule> rule) {
  const Spread spread = this->spread();
  spread_lanes_ = std::max<uint32_t>(spread.now, lanes);
  const uint8_t number = NumberOf(std::move(rule), spread.rule);
  spread_.store({spread.now, static_cast<uint8_t>(lanes), static_cast<uint8_t>(spread.epoch + 1), spread.rule, number},
                std::memory_order_release);
}

// That of `current`, if it is the same.
uint8_t Handover::NumberOf(std::unique_ptr<SpreadRule> rule, uint8_t current) {
  if (!rule) return 0;
  if (rules_[current] && *rules_[current] == *rule) return current;
  last_rule_ = last_rule_ == UINT8_MAX ? 1 : last_rule_ + 1;
  rules_[last_rule_] = std::move(rule);
  return last_rule_;
}

bool Handover::Settle() {
  const Spread spread = this->spread();
  if (!spread.moves()) return is_quiet();
  for (uint32_t lane = 0; lane < spread.before; ++lane) {
    if (seats_[lane].moved.load(std::memory_order_acquire) != spread.epoch) return false;
  }
  // What comes next goes past the lanes of before: where one is late with what it has, that would be overtaken.
  if (!are_empty() && ++waits_ < kWaitsMax) return false;
  waits_ = 0;
  spread_.store({spread.now, spread.now, static_cast<uint8_t>(spread.epoch + 1), spread.rule, spread.rule},
                std::memory_order_release);
  return false;
}

bool Handover::are_empty() const {
  for (uint32_t lane = 0; lane < spread_lanes_; ++lane) {
    if (!is_empty(lane)) return false;
  }
  return true;
}

bool Handover::is_quiet() const {
  const Spread spread = this->spread();
  for (uint32_t lane = 0; lane < spread_lanes_; ++lane) {
    if (seats_[lane].seen.load(std::memory_order_acquire) != spread.epoch) return false;
  }
  for (uint32_t lane = spread.now; lane < spread_lanes_; ++lane) {
    if (!is_empty(lane)) return false;
  }
  return true;
}

Handover::~Handover() {
  for (const Seat& seat : seats_) {
    if (seat.descriptor >= 0) close(seat.descriptor);
  }
}

bool Handover::Give(uint32_t from, uint32_t to, const HandedFrame& head, const uint8_t* bytes) {
  seats_[from].given |= 1u << to;
  return RingOf(from, to).Push(head, bytes);
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
  for (uint32_t from = 0; from < lanes(); ++from) {
    if (from != lane && !rings_[from * kLanesMax + lane]->empty()) return false;
  }
  return true;
}

}  // namespace sluice
