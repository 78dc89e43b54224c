// A mirror read for its own sake, without another lane: the frames that a filter takes, as they came and as they left.
// Used by the thread of who watches.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "frame_filter.h"
#include "mirror.h"
#include "mirrored_turn.h"

namespace sluice {

class MirrorTap {
 public:
  // Of each frame the first `snap_bytes` are kept.
  MirrorTap(std::shared_ptr<Mirror> mirror, FrameFilter filter, uint32_t snap_bytes)
      : mirror_(std::move(mirror)), filter_(std::move(filter)), snap_bytes_(snap_bytes) {}

  // Writes entries (layout::kTap*) until there is no room, or nothing left in the ring. Bytes written.
  size_t Read(std::span<uint8_t> to);

 private:
  bool Fetch();
  bool TakeNext(std::span<uint8_t> to, size_t* used);
  bool TakeComing(const MirroredTurn::Place& place, std::span<uint8_t> to, size_t* used);
  bool TakeLeaving(const MirroredTurn::Place& place, std::span<uint8_t> to, size_t* used);
  bool TakeLoose(const MirroredTurn::Loose& loose, std::span<uint8_t> to, size_t* used);
  struct Entry;
  bool Write(const Entry& entry, std::span<const uint8_t> bytes, std::span<uint8_t> to, size_t* used);
  uint32_t steps() const { return 2 * turn_.frames() + static_cast<uint32_t>(turn_.loose().size()); }

  const std::shared_ptr<Mirror> mirror_;
  const FrameFilter filter_;
  const uint32_t snap_bytes_;
  MirroredTurn turn_;
  uint32_t step_ = 0;  // of the turn: its frames as they came, as they left, then what else there is
};

}  // namespace sluice
