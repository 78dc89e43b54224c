// A port: where frames enter and leave a lane. One object per port and lane, used by that lane's thread only.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "frame_pool.h"

namespace sluice {

// Room before a received frame for headers that functions push; what AF_XDP leaves there too (XDP_PACKET_HEADROOM).
inline constexpr uint32_t kHeadroomBytes = 256;

// A frame in a slot of the lane's UMEM: bytes [offset, offset + length), all within one slot.
struct Frame {
  uint32_t offset;       // from the UMEM's start
  uint32_t length;       // bytes present
  uint32_t wire_length;  // bytes on the wire; differs from length only if a capture cut it
  uint8_t link;          // abi::kLink*
  bool oversize;         // did not fit its slot: only the first `length` bytes are here
  uint64_t time_ns;      // since 1970; 0 from ports that have no clock of their own
};

// What the lane lends to its ports. All outlive the ports.
struct LaneMemory {
  uint8_t* umem;
  FramePool& pool;
};

// Counted by the port, monotonic; the lane copies them into the shared counters once a turn.
struct PortCounters {
  uint64_t receive_frames = 0;
  uint64_t receive_bytes = 0;
  uint64_t transmit_frames = 0;
  uint64_t transmit_bytes = 0;
  uint64_t receive_dropped = 0;  // lost before the lane saw them (ring full, no free slot), as far as the port can know
  uint64_t transmit_dropped =
      0;  // taken from the lane, but not sent: no Ethernet frame, or (and in transmit_frames too) refused by the device
};

// How full the rings with the device are; `size` 0: the port has none.
struct PortRings {
  uint32_t size = 0;
  uint32_t receive = 0;   // frames that waited when Receive was called last
  uint32_t transmit = 0;  // frames that had not been sent after the last Flush
};

class Port {
 public:
  virtual ~Port() = default;

  // Hands over up to frames.size() frames; their slots now belong to the lane (SlotOwner::kLane). Never blocks.
  virtual uint32_t Receive(std::span<Frame> frames) = 0;

  // Takes frames in order and owns their slots from then on; returns how many it took. The lane keeps the rest.
  virtual uint32_t Transmit(std::span<const Frame> frames) = 0;

  // Once per turn, after all Transmit calls: kicks the kernel, takes back what was sent, refills.
  virtual void Flush() = 0;

  // Virtual clock for replay: the time of the next frame that Receive would return, UINT64_MAX at the end. Live ports
  // return 0: "now".
  virtual uint64_t NextTime() { return 0; }

  // For poll(2): a descriptor that is readable when Receive has frames, or -1.
  virtual int PollDescriptor() const { return -1; }

  // A port whose device is gone says so; it receives nothing and takes nothing any more.
  virtual bool gone() const { return false; }

  // The lane's generation has this port from now on, or has it not any more: it is called again, if ever, after
  // Activate. False if it cannot receive.
  virtual bool Activate() { return true; }
  virtual void Deactivate() {}

  // Closes what the port has open and returns the slots that it still had. For the thread that may wait; the lane does
  // not call the port any more.
  virtual std::vector<uint32_t> Abandon() { return {}; }

  // Whether frames that a function hands to the host get there.
  virtual bool reaches_host() const { return true; }

  // The device's index in its network namespace; 0 for ports that have none.
  virtual int ifindex() const { return 0; }

  // What its link address is if the device cannot say; null: it has none of its own.
  virtual const std::array<uint8_t, 6>* link_address() const { return nullptr; }

  // Whether frames go to somebody: of those that do not, it is only looked at how they left the chain.
  virtual bool delivers() const { return true; }

  // The machine's addresses, of either family, for ports that leave its own connections to the kernel.
  virtual void SetOwnAddresses(std::span<const std::array<uint8_t, 16>>) {}

  const PortCounters& counters() const { return counters_; }
  const PortRings& rings() const { return rings_; }

 protected:
  PortCounters counters_;
  PortRings rings_;
};

}  // namespace sluice
