// An AF_XDP socket with its four rings, on one queue of one device.
//
//             fill ring ──▶ kernel ──▶ receive ring        slots for frames to come │ frames that came
//   completion ring ◀── kernel ◀── transmit ring           slots that are free again │ frames to send
//
// Every socket registers the lane's memory as a UMEM of its own, so a frame that one received can be transmitted on
// another without a copy. The kernel's other way, XDP_SHARED_UMEM, would force one mode on all devices of a lane, and
// the first socket to outlive the others.
//
// The rings' memory order is libxdp's (xdp/xsk.h, inline functions). Its sockets are not used: they are inherited by
// child processes, which then keep the device busy, and their errors do not say which call failed.
#pragma once

#include <linux/if_xdp.h>
#include <xdp/xsk.h>

#include <cstdint>
#include <memory>
#include <span>

#include "port.h"
#include "system_error.h"

namespace sluice {

class AfxdpSocket {
 public:
  // Rings mapped, not bound yet: fill the fill ring first, drivers take buffers from it while the socket is bound.
  // `ring_size` descriptors in each ring, a power of two.
  static std::unique_ptr<AfxdpSocket> Create(const LaneMemory& memory, uint32_t ring_size, SystemError* error);

  ~AfxdpSocket();
  AfxdpSocket(const AfxdpSocket&) = delete;
  AfxdpSocket& operator=(const AfxdpSocket&) = delete;

  // `flags`: XDP_COPY or XDP_ZEROCOPY. A queue that was closed a moment ago, by whomever, is busy until the kernel
  // has got round to it; so EBUSY is tried again for half a second.
  bool Bind(int ifindex, uint32_t queue, uint16_t flags, SystemError* error);

  int descriptor() const { return descriptor_; }

  // Tells the kernel to look at the rings. Returns 0 or errno: ENXIO once the device is gone for good, ENETDOWN while
  // it is down, EAGAIN and ENOBUFS if there is more to send than it takes in one call, EBUSY if it dropped a frame.
  int WakeTransmit();
  int WakeReceive();

  xdp_statistics Statistics() const;

  xsk_ring_prod fill{};
  xsk_ring_cons receive{};
  xsk_ring_prod transmit{};
  xsk_ring_cons completion{};

 private:
  explicit AfxdpSocket(int descriptor) : descriptor_(descriptor) {}
  bool RegisterMemory(const LaneMemory& memory, SystemError* error);
  bool MapRings(uint32_t ring_size, SystemError* error);
  template <typename Ring>
  bool MapRing(Ring& ring, uint32_t size, size_t entry_bytes, const xdp_ring_offset& at, uint64_t page, SystemError*);
  bool Set(int option, const void* value, uint32_t bytes, const char* name, SystemError* error);

  const int descriptor_;
  std::span<uint8_t> maps_[4];
  int map_count_ = 0;
};

}  // namespace sluice
