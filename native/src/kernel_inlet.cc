#include "kernel_inlet.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice {

const KernelInlet::Mark& KernelInlet::ProcessMark() {
  static const Mark mark = [] {
    Mark random{};
    while (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    }
    random[0] = static_cast<uint8_t>((random[0] | 2u) & ~1u);  // locally administered, no group
    return random;
  }();
  return mark;
}

std::unique_ptr<KernelInlet> KernelInlet::Open(const std::string& program, SystemError* error) {
  bpf_object* object = bpf_object__open_file(program.c_str(), nullptr);
  if (object == nullptr || bpf_object__load(object) != 0) {
    *error = {"bpf", program, errno, ""};
    if (object) bpf_object__close(object);
    return nullptr;
  }
  const int descriptor = bpf_program__fd(bpf_object__find_program_by_name(object, "inlet"));
  const int wake = eventfd(0, EFD_CLOEXEC);
  if (descriptor < 0 || wake < 0) {
    *error = {"bpf", program, errno, ""};
    if (wake >= 0) close(wake);
    bpf_object__close(object);
    return nullptr;
  }
  return std::unique_ptr<KernelInlet>(new KernelInlet(object, descriptor, wake));
}

KernelInlet::KernelInlet(bpf_object* object, int program, int wake)
    : object_(object), program_(program), wake_(wake), slots_(std::make_unique<Slot[]>(kSlots)) {
  thread_ = std::thread([this] { Run(); });
}

KernelInlet::~KernelInlet() {
  stops_ = true;
  eventfd_write(wake_, 1);
  thread_.join();
  close(wake_);
  bpf_object__close(object_);
}

bool KernelInlet::Put(int ifindex, std::span<const uint8_t> frame) {
  const uint32_t at = put_.load(std::memory_order_relaxed);
  if (frame.size() > kFrameBytes || at - taken_.load(std::memory_order_acquire) == kSlots) return false;
  Slot& slot = slots_[at % kSlots];
  slot.ifindex = ifindex;
  slot.length = static_cast<uint32_t>(frame.size());
  std::memcpy(slot.bytes.data(), frame.data(), frame.size());
  put_.store(at + 1, std::memory_order_release);
  return true;
}

void KernelInlet::Flush() {
  const uint32_t put = put_.load(std::memory_order_relaxed);
  if (put == flushed_) return;
  flushed_ = put;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sleeps_.load(std::memory_order_relaxed)) eventfd_write(wake_, 1);
}

void KernelInlet::Run() {
  while (!stops_) {
    uint32_t at = taken_.load(std::memory_order_relaxed);
    while (at != put_.load(std::memory_order_acquire)) {
      Pass(slots_[at % kSlots]);
      taken_.store(++at, std::memory_order_release);
    }
    sleeps_ = true;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    eventfd_t woken;
    if (at == put_.load(std::memory_order_acquire) && !stops_) eventfd_read(wake_, &woken);
    sleeps_ = false;
  }
}

void KernelInlet::Pass(Slot& slot) {
  std::memcpy(slot.bytes.data() + 6, ProcessMark().data(), ProcessMark().size());
  xdp_md context = {};
  context.data_end = slot.length;
  context.ingress_ifindex = static_cast<uint32_t>(slot.ifindex);
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = slot.bytes.data(), .data_size_in = slot.length, .ctx_in = &context,
              .ctx_size_in = sizeof(context), .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
  if (bpf_prog_test_run_opts(program_, &options) != 0) refused_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace sluice
