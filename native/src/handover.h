// What the lanes of a chain hand over to each other. The kernel puts a frame into a queue of its own choice, and only
// the socket of that queue can have it; the lane of its flow may be another one. That lane gets a copy.
//
//   queue 0 ──▶ lane 0 ── its own ──────────────▶ flows
//                  └───── of lane 1 ──▶ ring ──▶ lane 1 ──▶ flows
//
// One ring for each pair of lanes and direction. A lane that sleeps is woken.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "detours.h"
#include "host_table.h"
#include "lane_ring.h"
#include "port.h"
#include "route_mirror.h"
#include "spread_rule.h"
#include "system_error.h"

namespace sluice {

// Over how many lanes flows are spread, and by which rule. While they move, frames still go to the lane that had their
// flow; that lane gives the flow away with the first of them, or when it gets round to it.
struct alignas(8) Spread {
  uint8_t before;  // lanes
  uint8_t now;
  uint8_t epoch;  // counts changes, modulo 256
  uint8_t rule_before = 0;
  uint8_t rule = 0;
  uint8_t reserved[3] = {};

  bool moves() const { return before != now || rule_before != rule; }
};

class Handover {
 public:
  static constexpr uint32_t kLanesMax = 16;

  // Null if there is no memory or no descriptor for it. `flows`: the capacity of all lanes' tables together. Without a
  // rule flows are spread by their addresses.
  static std::shared_ptr<Handover> Make(uint32_t lanes, uint32_t flows, std::unique_ptr<SpreadRule> rule = nullptr);
  ~Handover();
  Handover(const Handover&) = delete;
  Handover& operator=(const Handover&) = delete;

  // Lanes that there are; never fewer than before. AddLanes: false if there is no descriptor. On any thread, one at a
  // time.
  uint32_t lanes() const { return lanes_.load(std::memory_order_acquire); }
  bool AddLanes(uint32_t lanes);

  // Anybody's, and one at a time: from each lane's next turn on, flows are spread over so many.
  Spread spread() const { return spread_.load(std::memory_order_acquire); }
  void SpreadOver(uint32_t lanes, std::unique_ptr<SpreadRule> rule = nullptr);
  // What a spread's numbers stand for.
  LaneSpread before(const Spread& spread) const { return {rules_[spread.rule_before].get(), spread.before}; }
  LaneSpread now(const Spread& spread) const { return {rules_[spread.rule].get(), spread.now}; }
  // Whether all flows are where they belong by now, frames go to them directly, and nothing is on its way to a lane
  // that has none any more.
  bool Settle();
  // The lane's thread, before it gives anything by a spread: what it gave by those before is in the rings.
  void NoteSeen(uint32_t lane, uint8_t epoch) { seats_[lane].seen.store(epoch, std::memory_order_release); }
  // The lane's thread: it has no more flows to give away.
  void NoteMoved(uint32_t lane, uint8_t epoch) { seats_[lane].moved.store(epoch, std::memory_order_release); }

  // The thread of lane `from`: false if the other lane has no room. It is told by the next Wake.
  bool Give(uint32_t from, uint32_t to, const HandedFrame& head, const uint8_t* bytes);
  void Wake(uint32_t from);

  // The thread of lane `to`: the ring of frames that `from` has given to it.
  LaneRing& RingOf(uint32_t from, uint32_t to) { return *rings_[from * kLanesMax + to]; }

  // A lane that is about to sleep says so; false if there is something for it.
  bool BeginSleep(uint32_t lane);
  void EndSleep(uint32_t lane) { seats_[lane].sleeps.store(false, std::memory_order_relaxed); }

  // Readable when the lane has been woken.
  int descriptor(uint32_t lane) const { return seats_[lane].descriptor; }

  // Whether the lane has anything to take.
  bool is_empty(uint32_t lane) const;

  // Where all lanes receive all frames, one after the other: the lane of the frame is decided once, by the first that
  // asks. What that lane does with it may be different ways for later frames.
  template <typename Choose>
  uint32_t Agree(uint64_t number, Choose choose) {
    if (agreed_number_ != number) {
      agreed_lane_ = choose();
      agreed_number_ = number;
    }
    return agreed_lane_;
  }

  // Flows that come to another lane than their addresses say.
  Detours& detours() { return *detours_; }
  // Those of ports that the rules of now and before name, as a lane has found them; on any thread.
  void NoteOwn(const OwnAddresses& addresses);
  OwnAddresses own() const;
  // What any of them knows of hosts; on any thread.
  std::shared_ptr<HostTable> hosts();
  // One for all lanes, of the network namespace of the thread that asks first; null with an error. On any thread.
  std::shared_ptr<RouteMirror> FollowRoutes(SystemError* error);

 private:
  Handover() = default;
  bool are_empty() const;
  bool is_quiet() const;
  uint8_t NumberOf(std::unique_ptr<SpreadRule> rule, uint8_t current);

  struct alignas(64) Seat {
    std::atomic<bool> sleeps = false;
    std::atomic<uint8_t> moved = 0;
    std::atomic<uint8_t> seen = 0;
    int descriptor = -1;
    uint32_t given = 0;  // the lane's own: bits of lanes that it gave frames since its last Wake
  };

  std::atomic<uint32_t> lanes_ = 0;
  std::atomic<Spread> spread_ = Spread{1, 1, 0};
  // By number; 0 is none. Numbers come again after 255 changes, each of which has waited for its flows.
  std::array<std::unique_ptr<SpreadRule>, 256> rules_;
  uint8_t last_rule_ = 0;
  uint64_t agreed_number_ = 0;
  uint32_t agreed_lane_ = 0;
  uint32_t waits_ = 0;
  uint32_t spread_lanes_ = 1;  // that have flows before or after the last change: of who asks for it
  std::array<Seat, kLanesMax> seats_;
  std::array<std::unique_ptr<LaneRing>, kLanesMax * kLanesMax> rings_;
  std::unique_ptr<Detours> detours_;
  std::once_flag hosts_made_;
  std::shared_ptr<HostTable> hosts_;
  mutable std::mutex own_lock_;
  OwnAddresses own_;
  std::mutex routes_lock_;
  std::shared_ptr<RouteMirror> routes_;
};

}  // namespace sluice
