// Frames on their way from one lane to another: a ring of bytes that the one's thread writes and the other's reads.
// Neither waits; where there is no room, the frame is not taken.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace sluice {

// A frame as it lies in the ring, or what another lane kept of a flow; its bytes follow.
struct HandedFrame {
  uint32_t bytes;   // of the entry, a multiple of 8; kRingEnd: what follows begins at the ring's start
  uint32_t length;  // bytes present
  uint32_t wire_length;
  uint8_t port;
  uint8_t link;
  uint8_t epoch;         // of the spread by which it was given
  uint8_t kind;          // kHanded*
  uint64_t number : 56;  // in replay, where frames keep it whatever lane has them
  uint64_t entered : 8;  // the port at which the chain received it
  uint64_t time_ns;
};
inline constexpr uint8_t kHandedFrame = 0;   // for the lane to look at: it may belong to another one by now
inline constexpr uint8_t kHandedOwn = 1;     // a frame of the lane's own
inline constexpr uint8_t kHandedFlow = 2;    // MovedFlow, columns
inline constexpr uint8_t kHandedOn = 3;      // a frame of the lane's own that another one has received, and counted
inline constexpr uint8_t kHandedTurned = 4;  // the same, turned by a function there: it is not passed on once more
static_assert(sizeof(HandedFrame) == 32);

class LaneRing {
 public:
  // `bytes`: a power of two, larger than any frame.
  explicit LaneRing(uint32_t bytes);

  // The writer's. False if there is no room.
  bool Push(const HandedFrame& frame, const uint8_t* bytes);

  bool HasRoom(uint32_t length);

  // The reader's: the oldest frame, its bytes behind it; null if there is none. It stays until Pop.
  const HandedFrame* Front();
  void Pop();

  // Anybody's.
  bool empty() const { return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire); }

 private:
  const uint32_t size_;
  std::unique_ptr<uint8_t[]> ring_;
  alignas(64) std::atomic<uint64_t> head_ = 0;  // bytes written since the ring was made
  uint64_t tail_seen_ = 0;                      // the writer's view of the other end
  alignas(64) std::atomic<uint64_t> tail_ = 0;
  uint64_t head_seen_ = 0;
};

}  // namespace sluice
