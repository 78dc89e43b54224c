// Frames that wait until a neighbour's link address is known: so many for one, so many in all, and not for ever, as in
// the kernel's own queue.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "fragment_table.h"

namespace sluice {

// `Wanted` says who is waited for: two that are equal wait for the same neighbour.
template <typename Wanted>
class WaitingFrames {
 public:
  static constexpr size_t kCapacity = 256;
  static constexpr int64_t kPerNeighbour = 64;
  static constexpr uint64_t kWaitNs = 3'000'000'000;
  static constexpr uint64_t kAskAgainNs = 1'000'000'000;

  WaitingFrames() { frames_.reserve(kCapacity); }

  bool empty() const { return frames_.empty(); }

  template <typename Is>
  bool WaitFor(Is is) const {
    return std::ranges::any_of(frames_, [&](const Waiting& waiting) { return is(waiting.wanted); });
  }

  // When the first of them is given up; the end of time if none waits.
  uint64_t deadline_ns() const {
    uint64_t earliest = std::numeric_limits<uint64_t>::max();
    for (const Waiting& waiting : frames_) earliest = std::min(earliest, waiting.until_ns);
    return earliest;
  }

  // Asks if nobody waits for that neighbour yet: `ask(wanted)` is false if it has to be tried again. False: there is no
  // room.
  template <typename Ask>
  bool Add(const HeldFragment& held, const Wanted& wanted, uint64_t now_ns, Ask ask) {
    const auto waits = std::ranges::count(frames_, wanted, &Waiting::wanted);
    if (frames_.size() == kCapacity || waits >= kPerNeighbour) return false;
    const bool is_asked = waits > 0 || ask(wanted);
    frames_.push_back({held, wanted, is_asked ? now_ns : 0, now_ns + kWaitNs});
    return true;
  }

  // Lets those go whose neighbour is known, or whose time is over: `let_go(held, wanted, is_known)`, which is false if
  // it cannot take the frame in this turn. Asks again for the others.
  template <typename IsKnown, typename LetGo, typename Ask>
  void Retry(uint64_t now_ns, IsKnown is_known, LetGo let_go, Ask ask) {
    size_t kept = 0;
    for (size_t i = 0; i < frames_.size(); ++i) {
      Waiting& waiting = frames_[i];
      const bool known = is_known(waiting.wanted);
      if ((known || now_ns >= waiting.until_ns) && let_go(waiting.held, waiting.wanted, known)) continue;
      if (now_ns - waiting.asked_ns >= kAskAgainNs && ask(waiting.wanted)) NoteAsked(waiting.wanted, now_ns);
      if (kept != i) frames_[kept] = frames_[i];
      ++kept;
    }
    frames_.resize(kept);
  }

  template <typename LetGo>
  void Clear(LetGo let_go) {
    for (const Waiting& waiting : frames_) let_go(waiting.held);
    frames_.clear();
  }

 private:
  struct Waiting {
    HeldFragment held;
    Wanted wanted;
    uint64_t asked_ns;
    uint64_t until_ns;
  };

  void NoteAsked(const Wanted& wanted, uint64_t now_ns) {
    for (Waiting& waiting : frames_) {
      if (waiting.wanted == wanted) waiting.asked_ns = now_ns;
    }
  }

  std::vector<Waiting> frames_;
};

}  // namespace sluice
