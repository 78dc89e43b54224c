#include "tick_clock.h"

#include <x86intrin.h>

#include <chrono>
#include <cstdint>
#include <thread>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

struct Moment {
  Clock::time_point time = Clock::now();
  uint64_t ticks = __rdtsc();
};

const Moment loaded;

}  // namespace

double TickHz() {
  constexpr auto kEnough = std::chrono::milliseconds(20);
  const auto since = Clock::now() - loaded.time;
  if (since < kEnough) std::this_thread::sleep_for(kEnough - since);
  const Moment now;
  const std::chrono::duration<double> seconds = now.time - loaded.time;
  return static_cast<double>(now.ticks - loaded.ticks) / seconds.count();
}

}  // namespace sluice
