// Which frames of a lane somebody watches.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "match.h"
#include "mirrored_turn.h"

namespace sluice {

struct FrameFilter {
  // Why a frame is dropped.
  struct Cause {
    static constexpr int32_t kAny = -1;

    int32_t hop = kAny;
    bool engine = false;  // whose reason it is
    int32_t reason = kAny;
    int64_t detail = kAny;
  };

  std::vector<Match> matches;  // one of them takes the frame; none: all do
  uint32_t flow = 0;           // the lane's number; 0: any
  std::bitset<256> comes;      // ports where frames are watched as they come
  std::bitset<256> leaves;     // as they leave
  bool dropped_only = false;   // for one of the causes
  std::vector<Cause> causes;

  // A frame as it came. `outcome`: null if there is none yet.
  bool TakesComing(const MirroredFrame& frame, const uint8_t* bytes, const MirroredOutcome* outcome) const;
  // As it left, if it did.
  bool TakesLeaving(const MirroredOutcome& outcome, std::span<const uint8_t> bytes, uint8_t link) const;
  bool TakesDrop(const MirroredOutcome& outcome) const;

 private:
  bool TakesBytes(std::span<const uint8_t> bytes, uint32_t wire_length, uint8_t port, uint8_t link) const;
};

}  // namespace sluice
