#include "afxdp_socket.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#ifndef XDP_MAX_TX_SKB_BUDGET  // Linux 6.18
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

namespace sluice {
namespace {

constexpr auto kBusyPatience = std::chrono::milliseconds(500);
constexpr auto kBusyPause = std::chrono::milliseconds(5);

SystemError Failure(const char* call) { return {call, "", errno, ""}; }

}  // namespace

std::unique_ptr<AfxdpSocket> AfxdpSocket::Create(const LaneMemory& memory, uint32_t ring_size, SystemError* error) {
  const int descriptor = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    *error = Failure("socket(AF_XDP)");
    return nullptr;
  }
  std::unique_ptr<AfxdpSocket> result(new AfxdpSocket(descriptor));
  if (!result->RegisterMemory(memory, error) || !result->MapRings(ring_size, error)) return nullptr;
  return result;
}

AfxdpSocket::~AfxdpSocket() {
  for (int i = 0; i < map_count_; ++i) munmap(maps_[i].data(), maps_[i].size());
  close(descriptor_);
}

bool AfxdpSocket::RegisterMemory(const LaneMemory& memory, SystemError* error) {
  xdp_umem_reg region{};
  region.addr = reinterpret_cast<uint64_t>(memory.umem);
  region.len = static_cast<uint64_t>(memory.pool.slots()) * memory.pool.slot_bytes();
  region.chunk_size = memory.pool.slot_bytes();
  return Set(XDP_UMEM_REG, &region, sizeof(region), "setsockopt(XDP_UMEM_REG)", error);
}

bool AfxdpSocket::MapRings(uint32_t size, SystemError* error) {
  if (!Set(XDP_UMEM_FILL_RING, &size, sizeof(size), "setsockopt(XDP_UMEM_FILL_RING)", error) ||
      !Set(XDP_UMEM_COMPLETION_RING, &size, sizeof(size), "setsockopt(XDP_UMEM_COMPLETION_RING)", error) ||
      !Set(XDP_RX_RING, &size, sizeof(size), "setsockopt(XDP_RX_RING)", error) ||
      !Set(XDP_TX_RING, &size, sizeof(size), "setsockopt(XDP_TX_RING)", error)) {
    return false;
  }
  // In copy mode one sendto then takes the whole ring instead of 32 frames; older kernels do without.
  setsockopt(descriptor_, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &size, sizeof(size));

  xdp_mmap_offsets at;
  socklen_t bytes = sizeof(at);
  if (getsockopt(descriptor_, SOL_XDP, XDP_MMAP_OFFSETS, &at, &bytes) < 0) {
    *error = Failure("getsockopt(XDP_MMAP_OFFSETS)");
    return false;
  }
  if (!MapRing(fill, size, sizeof(uint64_t), at.fr, XDP_UMEM_PGOFF_FILL_RING, error) ||
      !MapRing(completion, size, sizeof(uint64_t), at.cr, XDP_UMEM_PGOFF_COMPLETION_RING, error) ||
      !MapRing(receive, size, sizeof(xdp_desc), at.rx, XDP_PGOFF_RX_RING, error) ||
      !MapRing(transmit, size, sizeof(xdp_desc), at.tx, XDP_PGOFF_TX_RING, error)) {
    return false;
  }
  fill.cached_cons = size;  // xsk_prod_nb_free keeps it a ring ahead
  transmit.cached_cons = size;
  return true;
}

template <typename Ring>
bool AfxdpSocket::MapRing(Ring& ring, uint32_t size, size_t entry_bytes, const xdp_ring_offset& at, uint64_t page,
                          SystemError* error) {
  const size_t bytes = at.desc + size * entry_bytes;
  void* map =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor_, static_cast<off_t>(page));
  if (map == MAP_FAILED) {
    *error = Failure("mmap(AF_XDP ring)");
    return false;
  }
  auto* start = static_cast<uint8_t*>(map);
  maps_[map_count_++] = {start, bytes};
  ring.mask = size - 1;
  ring.size = size;
  ring.producer = reinterpret_cast<uint32_t*>(start + at.producer);
  ring.consumer = reinterpret_cast<uint32_t*>(start + at.consumer);
  ring.flags = reinterpret_cast<uint32_t*>(start + at.flags);
  ring.ring = start + at.desc;
  return true;
}

bool AfxdpSocket::Bind(int ifindex, uint32_t queue, uint16_t flags, SystemError* error) {
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = flags | XDP_USE_NEED_WAKEUP;
  address.sxdp_ifindex = static_cast<uint32_t>(ifindex);
  address.sxdp_queue_id = queue;
  const auto deadline = std::chrono::steady_clock::now() + kBusyPatience;
  while (bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) {
    if (errno != EBUSY || std::chrono::steady_clock::now() > deadline) {
      *error = Failure("bind(AF_XDP)");
      return false;
    }
    std::this_thread::sleep_for(kBusyPause);
  }
  return true;
}

int AfxdpSocket::WakeTransmit() { return sendto(descriptor_, nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 ? errno : 0; }

int AfxdpSocket::WakeReceive() {
  return recvfrom(descriptor_, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr) < 0 ? errno : 0;
}

xdp_statistics AfxdpSocket::Statistics() const {
  xdp_statistics statistics{};
  socklen_t bytes = sizeof(statistics);
  getsockopt(descriptor_, SOL_XDP, XDP_STATISTICS, &statistics, &bytes);
  return statistics;
}

bool AfxdpSocket::Set(int option, const void* value, uint32_t bytes, const char* name, SystemError* error) {
  if (setsockopt(descriptor_, SOL_XDP, option, value, bytes) == 0) return true;
  *error = Failure(name);
  return false;
}

}  // namespace sluice
