#include "lane_baton.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <ctime>

namespace sluice {
namespace {

// Not so short that the processor's timer has to be set for it, which takes longer than the rest of a handover.
constexpr int64_t kStandBackNs = 20'000'000;

void Sleep(int32_t* holder, int32_t seen, int64_t for_ns) {
  const timespec most = {.tv_sec = for_ns / 1'000'000'000, .tv_nsec = for_ns % 1'000'000'000};
  syscall(SYS_futex, holder, FUTEX_WAIT_PRIVATE, seen, &most, nullptr, 0);
}

}  // namespace

int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

void ReleaseBaton(int32_t* holder, bool is_awaited) {
  std::atomic_ref(*holder).store(0, std::memory_order_release);
  ShakeBaton(holder);
  // Not sched_yield, after which it may be anybody's turn.
  if (is_awaited) Sleep(holder, 0, kStandBackNs);
}

bool TakeBaton(int32_t* holder, int32_t thread, int64_t for_ns) {
  int32_t seen = 0;
  if (std::atomic_ref(*holder).compare_exchange_strong(seen, thread, std::memory_order_acq_rel)) return true;
  Sleep(holder, seen, for_ns);
  seen = 0;
  return std::atomic_ref(*holder).compare_exchange_strong(seen, thread, std::memory_order_acq_rel);
}

void ShakeBaton(int32_t* holder) { syscall(SYS_futex, holder, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0); }

}  // namespace sluice
