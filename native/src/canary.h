// Which flows a canary has: a share of all, by the hash of the tuple that a flow began with, or those that a match
// takes. Decided once per flow, with the first of its frames that comes while the canary runs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "flow_key.h"
#include "match.h"
#include "record.h"
#include "segment.h"

namespace sluice {

// A flow's side, a path's, a subscriber's.
enum class Side : uint8_t {
  kAny,     // of a path or subscriber: has to do with all flows. Of a flow: not decided yet
  kStays,   // with the functions as they were
  kCanary,  // with those that are to come
};

class Canary {
 public:
  // `threshold` of 2^32: the share, unless there is a match. `sides` has one byte per flow number, to be zeroed where a
  // flow begins.
  Canary(uint64_t threshold, std::optional<Match> match, std::shared_ptr<Segment> sides)
      : threshold_(threshold), match_(std::move(match)), sides_(std::move(sides)) {}

  // `key` is the flow's first tuple; `direction` that of the frame. A match is for frames of direction 0: replies may
  // have other addresses.
  void Decide(uint32_t flow, const FlowKey& key, uint8_t direction, const Record& record, const uint8_t* bytes) {
    Side& side = sides()[flow];
    if (side != Side::kAny || (match_ && direction != 0)) return;
    const bool taken = match_ ? Matches(*match_, record, bytes) : HashOf(key) < threshold_;
    side = taken ? Side::kCanary : Side::kStays;
  }

  // Of flow 0 and of flows that are not decided: kStays.
  Side SideOf(uint32_t flow) const { return sides()[flow] == Side::kCanary ? Side::kCanary : Side::kStays; }

 private:
  Side* sides() const { return reinterpret_cast<Side*>(sides_->data()); }
  static uint32_t HashOf(const FlowKey& key);

  uint64_t threshold_;
  std::optional<Match> match_;
  std::shared_ptr<Segment> sides_;
};

}  // namespace sluice
