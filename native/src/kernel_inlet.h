// The way back into the kernel for frames that an XDP program has taken from it: as if the device had received them
// just now, through BPF_PROG_TEST_RUN with live frames (linux: Documentation/bpf/bpf_prog_run.rst). That takes about 17
// µs per frame, so a thread of its own does it.
//
//   lane ──Put──▶ ring ──▶ thread ──▶ inlet.bpf.c: pass ──▶ the device's receive path
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include "system_error.h"

struct bpf_object;

namespace sluice {

class KernelInlet {
 public:
  // A device whose program runs at the generic hook sees the frame once more: its program passes what comes from this
  // link address, which is random, this process's, and never on a wire.
  using Mark = std::array<uint8_t, 6>;
  static const Mark& ProcessMark();

  // `program`: path of inlet.bpf.o. Errors: EPERM; EOPNOTSUPP, EINVAL on kernels before 5.18.
  static std::unique_ptr<KernelInlet> Open(const std::string& program, SystemError* error);
  ~KernelInlet();
  KernelInlet(const KernelInlet&) = delete;
  KernelInlet& operator=(const KernelInlet&) = delete;

  // Takes a copy of an Ethernet frame; false if the ring is full, or the frame longer than kFrameBytes.
  bool Put(int ifindex, std::span<const uint8_t> frame);
  // Once per turn: wakes the thread if it sleeps and there is something to do.
  void Flush();

  // Frames that the kernel refused, as when their device is gone.
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

  static constexpr uint32_t kFrameBytes = 3072;

 private:
  static constexpr uint32_t kSlots = 512;  // a power of two
  struct Slot {
    int ifindex;
    uint32_t length;
    std::array<uint8_t, kFrameBytes> bytes;
  };

  KernelInlet(bpf_object* object, int program, int wake);
  void Run();
  void Pass(Slot& slot);

  bpf_object* const object_;
  const int program_;
  const int wake_;
  const std::unique_ptr<Slot[]> slots_;
  alignas(64) std::atomic<uint32_t> put_ = 0;
  alignas(64) std::atomic<uint32_t> taken_ = 0;
  std::atomic<bool> sleeps_ = false;
  std::atomic<bool> stops_ = false;
  std::atomic<uint64_t> refused_ = 0;
  uint32_t flushed_ = 0;
  std::thread thread_;
};

}  // namespace sluice
