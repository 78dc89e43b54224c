#include "probe.h"

#include <net/if.h>
#include <sys/mman.h>

#include <cerrno>

namespace sluice {
namespace {

constexpr uint32_t kSlots = 64;
constexpr uint32_t kSlotBytes = 2048;
constexpr uint32_t kRingSize = 64;

SystemError TryMode(const std::string& device, int ifindex, uint32_t queue, AfxdpMode mode, const std::string& program,
                    const LaneMemory& memory) {
  SystemError error;
  const auto socket = AfxdpSocket::Create(memory, kRingSize, &error);
  if (!socket) return error;
  if (!socket->Bind(ifindex, queue, BindFlagOf(mode), &error)) return error;
  const auto steering =
      Steering::Share({device, ifindex, HookOf(mode), {}, program, LinkKeeper{-1, -1}, false}, &error);
  if (steering) steering->Attach(&error);
  return error;
}

}  // namespace

std::vector<ModeProbe> ProbeModes(const std::string& device, uint32_t queue, const std::string& program) {
  constexpr AfxdpMode kModes[] = {AfxdpMode::kZeroCopy, AfxdpMode::kCopy, AfxdpMode::kGeneric};
  const int ifindex = static_cast<int>(if_nametoindex(device.c_str()));
  void* area = mmap(nullptr, kSlots * kSlotBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::vector<ModeProbe> found;
  if (ifindex == 0 || area == MAP_FAILED) {
    const SystemError error = {ifindex == 0 ? "if_nametoindex" : "mmap", device, ifindex == 0 ? ENODEV : errno, ""};
    for (const AfxdpMode mode : kModes) found.push_back({mode, error});
    return found;
  }
  FramePool pool(kSlots, kSlotBytes);
  for (const AfxdpMode mode : kModes) {
    found.push_back({mode, TryMode(device, ifindex, queue, mode, program, {static_cast<uint8_t*>(area), pool})});
  }
  munmap(area, kSlots * kSlotBytes);  // the kernel holds pages of its own until its side of the sockets is gone
  return found;
}

}  // namespace sluice
