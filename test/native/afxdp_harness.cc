// Two AF_XDP ports over one lane's memory without a lane: `afxdp_harness PROGRAM MODE DEVICE DEVICE [CLASS …]`.
// Forwards between the two until SIGTERM. Prints one JSON line when it is ready or failed, and one at the end.
// DEVICE is lan0, or lan0:1 for a queue other than 0. MODE: zero-copy, copy, generic or auto. CLASS is left to the
// kernel: ether:35020, ip:1 or ip:6:22.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "afxdp_port.h"

namespace {

using sluice::AfxdpMode;
using sluice::AfxdpOptions;
using sluice::AfxdpPort;
using sluice::FramePool;
using sluice::SlotOwner;

constexpr uint32_t kSlots = 4096;
constexpr uint32_t kSlotBytes = 2048;
constexpr uint32_t kBatch = 256;

volatile sig_atomic_t stopped = 0;

std::optional<AfxdpMode> ReadMode(const char* name) {
  for (const AfxdpMode mode : {AfxdpMode::kZeroCopy, AfxdpMode::kCopy, AfxdpMode::kGeneric}) {
    if (strcmp(name, sluice::NameOf(mode)) == 0) return mode;
  }
  return std::nullopt;
}

steer_class ReadClass(const char* text) {
  unsigned first = 0, second = 0;
  if (sscanf(text, "ether:%u", &first) == 1) return {STEER_ETHER_TYPE, 0, static_cast<uint16_t>(first)};
  const int found = sscanf(text, "ip:%u:%u", &first, &second);
  const auto kind = static_cast<uint8_t>(found == 2 ? STEER_DESTINATION_PORT : STEER_IP_PROTO);
  return {kind, static_cast<uint8_t>(first), static_cast<uint16_t>(second)};
}

void PrintError(const sluice::SystemError& error) {
  printf("{\"call\":\"%s\",\"subject\":\"%s\",\"code\":%d,\"detail\":\"%s\"}\n", error.call.c_str(),
         error.subject.c_str(), error.code, error.detail.c_str());
  fflush(stdout);
}

void PrintReady(const AfxdpPort& port) {
  printf("{\"mode\":\"%s\",\"refused\":[", sluice::NameOf(port.mode()));
  for (size_t i = 0; i < port.refused().size(); ++i) {
    const AfxdpPort::Refusal& refusal = port.refused()[i];
    printf("%s{\"mode\":\"%s\",\"call\":\"%s\",\"code\":%d}", i == 0 ? "" : ",", sluice::NameOf(refusal.mode),
           refusal.why.call.c_str(), refusal.why.code);
  }
  printf("]}\n");
  fflush(stdout);
}

void PrintAudit(const char* name, const FramePool& pool) {
  const FramePool::Audit audit = pool.Count();
  const auto owned = [&](SlotOwner owner) { return audit.owned[static_cast<int>(owner)]; };
  printf("\"%s\":{\"free\":%u,\"fill\":%u,\"lane\":%u,\"transmit\":%u,\"doubleFrees\":%lu,\"stackAgrees\":%s}", name,
         owned(SlotOwner::kFree), owned(SlotOwner::kFill), owned(SlotOwner::kLane), owned(SlotOwner::kTransmit),
         pool.double_frees(), audit.stack_agrees ? "true" : "false");
}

void PrintPort(const AfxdpPort& port) {
  const sluice::PortCounters& counters = port.counters();
  const sluice::Steering::Counts steered = port.steering() ? port.steering()->Count() : sluice::Steering::Counts{};
  printf(
      "{\"received\":%lu,\"transmitted\":%lu,\"receiveDropped\":%lu,\"transmitDropped\":%lu,\"gone\":%s,"
      "\"redirected\":%lu,\"left\":%lu,\"unclaimed\":%lu}",
      counters.receive_frames, counters.transmit_frames, counters.receive_dropped, counters.transmit_dropped,
      port.gone() ? "true" : "false", steered.redirected, steered.left, steered.unclaimed);
}

uint32_t Forward(AfxdpPort& from, AfxdpPort& to, FramePool& pool) {
  std::array<sluice::Frame, kBatch> frames;
  const uint32_t received = from.Receive(frames);
  const uint32_t sent = to.Transmit({frames.data(), received});
  for (uint32_t i = sent; i < received; ++i) pool.Release(frames[i].offset / kSlotBytes);
  return received;
}

void Sleep(const AfxdpPort& a, const AfxdpPort& b) {
  pollfd descriptors[] = {{a.PollDescriptor(), POLLIN, 0}, {b.PollDescriptor(), POLLIN, 0}};
  poll(descriptors, 2, 50);
}

uint64_t Run(AfxdpPort& a, AfxdpPort& b, FramePool& pool) {
  uint64_t idle_turns = 0;
  while (!stopped) {
    const uint32_t moved = Forward(a, b, pool) + Forward(b, a, pool);
    a.Flush();
    b.Flush();
    if (moved > 0) continue;
    ++idle_turns;
    Sleep(a, b);
  }
  return idle_turns;
}

uint8_t* MapSlots() {
  const int file = memfd_create("afxdp_harness", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, kSlots * kSlotBytes) < 0) return nullptr;
  void* area = mmap(nullptr, kSlots * kSlotBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return area == MAP_FAILED ? nullptr : static_cast<uint8_t*>(area);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) {
    fprintf(stderr, "usage: afxdp_harness PROGRAM MODE DEVICE DEVICE [CLASS …]\n");
    return 2;
  }
  struct sigaction action = {};
  action.sa_handler = [](int) { stopped = 1; };
  sigaction(SIGTERM, &action, nullptr);

  AfxdpOptions options;
  options.program = arguments[1];
  options.mode = ReadMode(arguments[2]);
  for (int i = 5; i < count; ++i) options.kernel.push_back(ReadClass(arguments[i]));

  uint8_t* area = MapSlots();
  if (area == nullptr) return 1;
  FramePool pool(kSlots, kSlotBytes);
  std::unique_ptr<AfxdpPort> ports[2];
  for (int i = 0; i < 2; ++i) {
    const std::string device = arguments[3 + i];
    const size_t colon = device.find(':');
    options.device = device.substr(0, colon);
    options.queue = colon == std::string::npos ? 0 : static_cast<uint32_t>(atoi(device.c_str() + colon + 1));
    sluice::SystemError error;
    ports[i] = AfxdpPort::Open(options, {area, pool}, &error);
    if (!ports[i]) {
      PrintError(error);
      return 1;
    }
  }
  PrintReady(*ports[0]);

  const uint64_t idle_turns = Run(*ports[0], *ports[1], pool);
  printf("{\"slots\":%u,\"idleTurns\":%lu,\"ports\":[", kSlots, idle_turns);
  PrintPort(*ports[0]);
  printf(",");
  PrintPort(*ports[1]);
  printf("],");
  PrintAudit("open", pool);
  ports[0].reset();
  ports[1].reset();
  printf(",");
  PrintAudit("closed", pool);
  printf("}\n");
  return 0;
}
