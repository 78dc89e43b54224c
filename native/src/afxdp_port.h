// A port on one queue of a network device, through an AF_XDP socket (linux: Documentation/networking/af_xdp.rst).
//
// Where a slot is at any time:
//
//   pool ──Flush──▶ fill ring ──▶ receive ring ──Receive──▶ lane ──Transmit──▶ transmit ring ──▶ completion ring ──┐
//    ▲    kFill                                   kLane               kTransmit                          Flush     │
//    └─────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//
// The kernel writes a frame 256 bytes (XDP_PACKET_HEADROOM) into its slot: room for headers to be pushed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "afxdp_socket.h"
#include "port.h"
#include "promiscuity.h"
#include "steering.h"
#include "system_error.h"

namespace sluice {

// Best first: the device writes into the slots; the driver's XDP hook copies; the kernel makes an skb and copies.
enum class AfxdpMode : uint8_t { kZeroCopy, kCopy, kGeneric };

// As in documents: "zero-copy", "copy", "generic".
const char* NameOf(AfxdpMode mode);

// What a mode means to the kernel: where the program is attached, and how the socket is bound.
XdpHook HookOf(AfxdpMode mode);
uint16_t BindFlagOf(AfxdpMode mode);

struct AfxdpOptions {
  std::string device;
  uint32_t queue = 0;
  std::optional<AfxdpMode> mode;  // none: the best that works
  uint32_t ring_size = 512;       // descriptors in each of the four rings, a power of two
  std::vector<steer_class> kernel;
  std::string program;  // path of steer.bpf.o
  LinkKeeper keeper{-1, -1};
  bool is_routed = false;
  bool drops_when_down = false;
  bool inactive = false;  // frames come from Activate on
};

class AfxdpPort : public Port {
 public:
  struct Refusal {
    AfxdpMode mode;
    SystemError why;
  };

  // Opens the best mode, or the one that was asked for. Errors: ENODEV no such device; EBUSY the queue has a socket or
  // the device an XDP program already; EPERM, EACCES a privilege is missing; ENOBUFS the memory lock limit is too low;
  // EOPNOTSUPP, EINVAL … the kernel, the device or its driver cannot do it.
  static std::unique_ptr<AfxdpPort> Open(const AfxdpOptions& options, LaneMemory memory, SystemError* error);

  // Closes the socket; every slot that the kernel had goes back to the pool.
  ~AfxdpPort() override { Close(); }
  AfxdpPort(const AfxdpPort&) = delete;
  AfxdpPort& operator=(const AfxdpPort&) = delete;

  uint32_t Receive(std::span<Frame> frames) override;
  uint32_t Transmit(std::span<const Frame> frames) override;
  bool Activate() override;
  void Deactivate() override;
  std::vector<uint32_t> Abandon() override;
  void Flush() override;
  int PollDescriptor() const override { return socket_ ? socket_->descriptor() : -1; }
  // Not by itself: see KernelInlet.
  bool reaches_host() const override { return false; }
  int ifindex() const override { return ifindex_; }
  void SetOwnAddresses(std::span<const std::array<uint8_t, 16>> addresses) override;
  bool gone() const override { return gone_->load(std::memory_order_relaxed); }

  const std::string& device() const { return options_.device; }
  uint32_t queue() const { return options_.queue; }
  AfxdpMode mode() const { return mode_; }
  const std::vector<Refusal>& refused() const { return refused_; }
  bool need_wakeup() const { return true; }
  const Steering* steering() const { return steering_.get(); }

  bool active() const { return active_.load(std::memory_order_relaxed); }

  // For observers on other threads, and after the port is closed.
  std::shared_ptr<const std::atomic<bool>> gone_flag() const { return gone_; }

 private:
  AfxdpPort(const AfxdpOptions& options, LaneMemory memory, int ifindex, AfxdpMode mode);
  bool Start(SystemError* error);
  void Close();
  void Vanish();

  uint32_t SlotOf(uint64_t address) const { return static_cast<uint32_t>(address) >> slot_shift_; }
  void Lend(uint32_t slot, SlotOwner owner);
  void Kick();
  void Reap();
  void Refill();
  void Inspect();
  void WaitForDevice();

  const AfxdpOptions options_;
  LaneMemory memory_;
  const int ifindex_;
  const AfxdpMode mode_;
  const uint32_t slot_shift_;
  std::vector<Refusal> refused_;
  std::shared_ptr<Steering> steering_;
  std::unique_ptr<Promiscuity> promiscuity_;  // null: the port is routed
  std::unique_ptr<AfxdpSocket> socket_;
  std::unique_ptr<bool[]> lent_;  // per slot: the kernel has it, from this port
  uint64_t inspected_ns_ = 0;
  std::atomic<bool> active_ = false;
  const std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace sluice
