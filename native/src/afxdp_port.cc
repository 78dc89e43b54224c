#include "afxdp_port.h"

#include <net/if.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "abi.h"

namespace sluice {
namespace {

constexpr AfxdpMode kLadder[] = {AfxdpMode::kZeroCopy, AfxdpMode::kCopy, AfxdpMode::kGeneric};
constexpr uint32_t kEthernetHeaderBytes = 14;
constexpr uint64_t kInspectEveryNs = 100'000'000;

// A lesser mode would fail for the same reason.
bool IsFinal(int code) {
  constexpr int kFinal[] = {ENODEV, EBUSY, EPERM, EACCES, ENOBUFS, ENOMEM, ENOENT, EMFILE, EAFNOSUPPORT};
  return std::find(std::begin(kFinal), std::end(kFinal), code) != std::end(kFinal);
}

// Also true if that cannot be known here: sysfs may be that of another network namespace.
bool HasQueue(const AfxdpOptions& options) {
  const std::string folder = "/sys/class/net/" + options.device + "/queues";
  const std::string queue = folder + "/rx-" + std::to_string(options.queue);
  return access(folder.c_str(), F_OK) != 0 || access(queue.c_str(), F_OK) == 0;
}

// A few nanoseconds, and exact to a few milliseconds.
uint64_t CoarseNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

const char* NameOf(AfxdpMode mode) {
  constexpr const char* kNames[] = {"zero-copy", "copy", "generic"};
  return kNames[static_cast<int>(mode)];
}

XdpHook HookOf(AfxdpMode mode) { return mode == AfxdpMode::kGeneric ? XdpHook::kGeneric : XdpHook::kDriver; }

uint16_t BindFlagOf(AfxdpMode mode) { return mode == AfxdpMode::kZeroCopy ? XDP_ZEROCOPY : XDP_COPY; }

// ---- opening and closing ----

std::unique_ptr<AfxdpPort> AfxdpPort::Open(const AfxdpOptions& options, LaneMemory memory, SystemError* error) {
  const int ifindex = static_cast<int>(if_nametoindex(options.device.c_str()));
  if (ifindex == 0) {
    *error = {"if_nametoindex", options.device, errno, ""};
    return nullptr;
  }
  std::vector<Refusal> refused;
  for (const AfxdpMode mode : kLadder) {
    if (options.mode && *options.mode != mode) continue;
    std::unique_ptr<AfxdpPort> port(new AfxdpPort(options, memory, ifindex, mode));
    if (port->Start(error)) {
      *error = {};
      port->refused_ = std::move(refused);
      return port;
    }
    error->subject = options.device + " queue " + std::to_string(options.queue);
    if (error->code == EINVAL && !HasQueue(options)) error->detail = "the device has no such queue";
    if (IsFinal(error->code)) break;
    refused.push_back({mode, *error});
  }
  if (error->code == EEXIST) error->code = EBUSY;  // a program at the other hook keeps ours out as well
  return nullptr;
}

AfxdpPort::AfxdpPort(const AfxdpOptions& options, LaneMemory memory, int ifindex, AfxdpMode mode)
    : options_(options),
      memory_(memory),
      ifindex_(ifindex),
      mode_(mode),
      slot_shift_(static_cast<uint32_t>(std::countr_zero(memory.pool.slot_bytes()))),
      lent_(std::make_unique<bool[]>(memory.pool.slots())) {}

bool AfxdpPort::Start(SystemError* error) {
  socket_ = AfxdpSocket::Create(memory_, options_.ring_size, error);
  if (!socket_) return false;
  // An inactive port must leave the pool to the lane's thread.
  if (!options_.inactive) Refill();
  if (!socket_->Bind(ifindex_, options_.queue, BindFlagOf(mode_), error)) return false;
  steering_ = Steering::Share({options_.device, ifindex_, HookOf(mode_), options_.kernel, options_.program,
                               options_.keeper, options_.is_routed, options_.drops_when_down},
                              error);
  if (!steering_) return false;
  if (!options_.is_routed) promiscuity_ = Promiscuity::Begin(options_.device, ifindex_, error);
  if (!options_.is_routed && !promiscuity_) return false;
  if (options_.inactive) return steering_->Attach(error);
  active_ = steering_->Insert(options_.queue, socket_->descriptor(), error);
  return active_;
}

bool AfxdpPort::Activate() {
  SystemError error;
  if (socket_ && !active_) active_ = steering_->Insert(options_.queue, socket_->descriptor(), &error);
  return active_;
}

void AfxdpPort::SetOwnAddresses(std::span<const std::array<uint8_t, 16>> addresses) {
  if (!steering_ || !options_.is_routed) return;
  std::vector<steer_address> list;
  for (const auto& address : addresses) {
    steer_address& entry = list.emplace_back();
    std::memcpy(entry.bytes, address.data(), sizeof(entry.bytes));
  }
  steering_->SetOwnAddresses(list);
}

void AfxdpPort::Deactivate() {
  if (steering_ && active_.exchange(false)) steering_->Remove(options_.queue);
}

void AfxdpPort::Close() {
  for (const uint32_t slot : Abandon()) memory_.pool.Release(slot);
}

std::vector<uint32_t> AfxdpPort::Abandon() {
  std::vector<uint32_t> slots;
  if (!socket_) return slots;
  active_ = false;
  promiscuity_.reset();
  steering_.reset();
  socket_.reset();
  if (mode_ == AfxdpMode::kZeroCopy) WaitForDevice();
  for (uint32_t slot = 0; slot < memory_.pool.slots(); ++slot) {
    if (std::exchange(lent_[slot], false)) slots.push_back(slot);
  }
  return slots;
}

// A zero-copy device may write into its slots until the kernel has taken the closed socket's buffers from it, and that
// happens later on a work queue. Only then can the queue be bound again.
void AfxdpPort::WaitForDevice() {
  SystemError ignored;
  const auto probe = AfxdpSocket::Create(memory_, options_.ring_size, &ignored);
  if (probe) probe->Bind(ifindex_, options_.queue, XDP_COPY, &ignored);
}

void AfxdpPort::Vanish() {
  gone_->store(true, std::memory_order_relaxed);
  Close();
}

// ---- the packet path ----

void AfxdpPort::Lend(uint32_t slot, SlotOwner owner) {
  lent_[slot] = true;
  memory_.pool.Move(slot, owner);
}

uint32_t AfxdpPort::Receive(std::span<Frame> frames) {
  if (!socket_) return 0;
  xsk_ring_cons& ring = socket_->receive;
  rings_.receive = __atomic_load_n(ring.producer, __ATOMIC_RELAXED) - ring.cached_cons;
  uint32_t at;
  const uint32_t count = xsk_ring_cons__peek(&ring, static_cast<uint32_t>(frames.size()), &at);
  if (count == 0) return 0;
  for (uint32_t i = 0; i < count; ++i) {
    const xdp_desc* received = xsk_ring_cons__rx_desc(&ring, at + i);
    const uint32_t slot = SlotOf(received->addr);
    lent_[slot] = false;
    memory_.pool.Move(slot, SlotOwner::kLane);
    frames[i] = {.offset = static_cast<uint32_t>(received->addr),
                 .length = received->len,
                 .wire_length = received->len,
                 .link = abi::kLinkEthernet,
                 .oversize = false,
                 .time_ns = 0};
    counters_.receive_bytes += received->len;
  }
  xsk_ring_cons__release(&ring, count);
  counters_.receive_frames += count;
  return count;
}

uint32_t AfxdpPort::Transmit(std::span<const Frame> frames) {
  if (!socket_) return 0;
  xsk_ring_prod& ring = socket_->transmit;
  const auto wanted = static_cast<uint32_t>(frames.size());
  const uint32_t count = std::min(wanted, xsk_prod_nb_free(&ring, wanted));
  uint32_t sent = 0;
  for (const Frame& frame : frames.first(count)) {
    // The kernel skips a descriptor that it does not like and never gives its slot back.
    if (frame.length < kEthernetHeaderBytes || frame.link != abi::kLinkEthernet) {
      memory_.pool.Release(SlotOf(frame.offset));
      ++counters_.transmit_dropped;
      continue;
    }
    Lend(SlotOf(frame.offset), SlotOwner::kTransmit);
    *xsk_ring_prod__tx_desc(&ring, ring.cached_prod + sent++) = {frame.offset, frame.length, 0};
    counters_.transmit_bytes += frame.length;
  }
  ring.cached_prod += sent;
  if (sent > 0) xsk_ring_prod__submit(&ring, sent);
  counters_.transmit_frames += sent;
  return count;
}

void AfxdpPort::Flush() {
  if (socket_) Kick();
  if (socket_) Inspect();
  if (!socket_) {
    rings_ = {};
    return;
  }
  Reap();
  Refill();
  const xsk_ring_prod& ring = socket_->transmit;
  rings_.size = options_.ring_size;
  rings_.transmit = ring.cached_prod - __atomic_load_n(ring.consumer, __ATOMIC_RELAXED);
}

// With copies the kernel sends only within sendto, and may stop early; each call takes at least one frame or ends this.
void AfxdpPort::Kick() {
  const xsk_ring_prod& ring = socket_->transmit;
  if (mode_ == AfxdpMode::kZeroCopy && !xsk_ring_prod__needs_wakeup(&ring)) return;
  uint32_t taken = __atomic_load_n(ring.consumer, __ATOMIC_ACQUIRE);
  while (taken != ring.cached_prod) {
    const int result = socket_->WakeTransmit();
    if (result == ENXIO) return Vanish();
    if (result == EBUSY) ++counters_.transmit_dropped;
    const uint32_t before = std::exchange(taken, __atomic_load_n(ring.consumer, __ATOMIC_ACQUIRE));
    if (taken == before || mode_ == AfxdpMode::kZeroCopy) return;
  }
}

void AfxdpPort::Reap() {
  xsk_ring_cons& ring = socket_->completion;
  uint32_t at;
  const uint32_t count = xsk_ring_cons__peek(&ring, ring.size, &at);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t slot = SlotOf(*xsk_ring_cons__comp_addr(&ring, at + i));
    if (std::exchange(lent_[slot], false)) memory_.pool.Release(slot);
  }
  if (count > 0) xsk_ring_cons__release(&ring, count);
}

void AfxdpPort::Refill() {
  xsk_ring_prod& ring = socket_->fill;
  std::array<uint32_t, 64> slots;
  while (true) {
    const uint32_t room = std::min<uint32_t>(slots.size(), xsk_prod_nb_free(&ring, slots.size()));
    const uint32_t taken = memory_.pool.Take({slots.data(), room}, SlotOwner::kFill);
    if (taken == 0) break;
    for (uint32_t i = 0; i < taken; ++i) {
      lent_[slots[i]] = true;
      *xsk_ring_prod__fill_addr(&ring, ring.cached_prod + i) = static_cast<uint64_t>(slots[i]) << slot_shift_;
    }
    ring.cached_prod += taken;
    xsk_ring_prod__submit(&ring, taken);
  }
  if (xsk_ring_prod__needs_wakeup(&ring)) socket_->WakeReceive();
}

// What costs a system call and need not be known at once: whether the device is still there, and what it lost.
void AfxdpPort::Inspect() {
  const uint64_t now = CoarseNow();
  if (now - inspected_ns_ < kInspectEveryNs) return;
  inspected_ns_ = now;
  const xdp_statistics statistics = socket_->Statistics();
  counters_.receive_dropped = statistics.rx_dropped + statistics.rx_ring_full;
  if (socket_->WakeReceive() == ENXIO) Vanish();
}

}  // namespace sluice
