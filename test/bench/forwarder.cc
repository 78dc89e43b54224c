// The peer that the engine is measured against: a bare AF_XDP forwarder between two devices, with libxdp as its authors
// meant it. One UMEM, no parsing, no chain. Shares only steer.bpf.o with the engine.
// `forwarder PROGRAM DEVICE DEVICE SECONDS copy|generic|zero-copy`; ends early on SIGTERM; prints one JSON line.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <xdp/xsk.h>

#include <chrono>

#include "../../native/bpf/shared.h"

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

namespace {

constexpr uint32_t kRing = 512;
constexpr uint32_t kSlots = 4096;
constexpr uint32_t kSlotBytes = 2048;
constexpr uint32_t kBatch = 256;

struct Device {
  xsk_socket* socket;
  int descriptor;
  xsk_ring_prod fill;
  xsk_ring_cons receive;
  xsk_ring_prod transmit;
  xsk_ring_cons completion;
};

xsk_umem* umem = nullptr;
uint64_t free_slots[kSlots];
uint32_t free_count = 0;
volatile sig_atomic_t stopped = 0;

void Refill(Device& device) {
  const uint32_t room = xsk_prod_nb_free(&device.fill, kBatch);
  const uint32_t count = room < free_count ? room : free_count;
  uint32_t at;
  if (count == 0 || xsk_ring_prod__reserve(&device.fill, count, &at) == 0) return;
  for (uint32_t i = 0; i < count; ++i) *xsk_ring_prod__fill_addr(&device.fill, at + i) = free_slots[--free_count];
  xsk_ring_prod__submit(&device.fill, count);
}

void Reap(Device& device) {
  uint32_t at;
  const uint32_t count = xsk_ring_cons__peek(&device.completion, kRing, &at);
  for (uint32_t i = 0; i < count; ++i) {
    free_slots[free_count++] = *xsk_ring_cons__comp_addr(&device.completion, at + i) & ~uint64_t{kSlotBytes - 1};
  }
  xsk_ring_cons__release(&device.completion, count);
}

uint32_t Forward(Device& from, Device& to) {
  const uint32_t room = xsk_prod_nb_free(&to.transmit, kBatch);
  uint32_t in, out = 0;
  const uint32_t count = xsk_ring_cons__peek(&from.receive, room < kBatch ? room : kBatch, &in);
  if (count == 0) return 0;
  xsk_ring_prod__reserve(&to.transmit, count, &out);
  for (uint32_t i = 0; i < count; ++i) {
    *xsk_ring_prod__tx_desc(&to.transmit, out + i) = *xsk_ring_cons__rx_desc(&from.receive, in + i);
  }
  xsk_ring_cons__release(&from.receive, count);
  xsk_ring_prod__submit(&to.transmit, count);
  return count;
}

void Send(Device& device) {
  uint32_t taken = *device.transmit.consumer;
  while (taken != device.transmit.cached_prod && !stopped) {
    sendto(device.descriptor, nullptr, 0, MSG_DONTWAIT, nullptr, 0);
    const uint32_t before = taken;
    taken = __atomic_load_n(device.transmit.consumer, __ATOMIC_ACQUIRE);
    if (taken == before) return;
  }
}

bool Open(Device& device, const char* name, uint16_t bind_flags) {
  xsk_socket_config config{};
  config.rx_size = kRing;
  config.tx_size = kRing;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  config.bind_flags = static_cast<uint16_t>(bind_flags | XDP_USE_NEED_WAKEUP);
  const int result = xsk_socket__create_shared(&device.socket, name, 0, umem, &device.receive, &device.transmit,
                                               &device.fill, &device.completion, &config);
  if (result < 0) {
    fprintf(stderr, "xsk_socket__create_shared: %s: %s\n", name, strerror(-result));
    return false;
  }
  device.descriptor = xsk_socket__fd(device.socket);
  setsockopt(device.descriptor, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &kRing, sizeof(kRing));
  while (xsk_prod_nb_free(&device.fill, 1) > 0) Refill(device);
  return true;
}

bool Steer(Device& device, const char* name, const char* path, uint32_t flags) {
  bpf_object* object = bpf_object__open_file(path, nullptr);
  if (object == nullptr || bpf_object__load(object) < 0) return false;
  const uint32_t queue = 0;
  const int sockets = bpf_object__find_map_fd_by_name(object, "socket_by_queue");
  if (bpf_map_update_elem(sockets, &queue, &device.descriptor, BPF_ANY) < 0) return false;
  bpf_link_create_opts options{};
  options.sz = sizeof(options);
  options.flags = flags;
  const int program = bpf_program__fd(bpf_object__find_program_by_name(object, "steer"));
  if (bpf_link_create(program, static_cast<int>(if_nametoindex(name)), BPF_XDP, &options) >= 0) return true;
  perror("bpf_link_create");
  return false;
}

bool CreateMemory(Device& first) {
  void* area = mmap(nullptr, kSlots * kSlotBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  xsk_umem_config config{};
  config.fill_size = kRing;
  config.comp_size = kRing;
  config.frame_size = kSlotBytes;
  for (uint32_t slot = 0; slot < kSlots; ++slot) free_slots[free_count++] = uint64_t{slot} * kSlotBytes;
  return area != MAP_FAILED &&
         xsk_umem__create(&umem, area, kSlots * kSlotBytes, &first.fill, &first.completion, &config) == 0;
}

uint64_t Run(Device& a, Device& b, std::chrono::steady_clock::time_point end) {
  uint64_t frames = 0;
  pollfd descriptors[] = {{a.descriptor, POLLIN, 0}, {b.descriptor, POLLIN, 0}};
  while (!stopped) {
    const uint32_t moved = Forward(a, b) + Forward(b, a);
    for (Device* device : {&a, &b}) {
      Send(*device);
      Reap(*device);
      Refill(*device);
    }
    frames += moved;
    if (moved > 0) continue;
    if (std::chrono::steady_clock::now() > end) break;
    poll(descriptors, 2, 10);
  }
  return frames;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) {
    fprintf(stderr, "usage: forwarder PROGRAM DEVICE DEVICE SECONDS copy|generic|zero-copy\n");
    return 2;
  }
  struct sigaction action = {};
  action.sa_handler = [](int) { stopped = 1; };
  sigaction(SIGTERM, &action, nullptr);

  const char* mode = arguments[5];
  const uint16_t bind_flags = strcmp(mode, "zero-copy") == 0 ? XDP_ZEROCOPY : XDP_COPY;
  const uint32_t hook = strcmp(mode, "generic") == 0 ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  static Device a, b;
  if (!CreateMemory(a) || !Open(a, arguments[2], bind_flags) || !Open(b, arguments[3], bind_flags) ||
      !Steer(a, arguments[2], arguments[1], hook) || !Steer(b, arguments[3], arguments[1], hook)) {
    fprintf(stderr, "forwarder: could not open the devices\n");
    return 1;
  }
  printf("{\"ready\":true}\n");
  fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  const uint64_t frames = Run(a, b, start + std::chrono::seconds(atoi(arguments[4])));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  printf("{\"frames\":%lu,\"seconds\":%.3f}\n", frames, seconds.count());
  return 0;
}
