// What numbered_sender and numbered_receiver agree on.
#ifndef SLUICE_TEST_BENCH_NUMBERED_PACKET_H_
#define SLUICE_TEST_BENCH_NUMBERED_PACKET_H_

#include <stdint.h>
#include <time.h>

namespace numbered {

// The payload of a UDP packet, in the machine's byte order: both ends are on the same one.
struct Payload {
  uint64_t number;  // from 0
  uint64_t sent;    // ns, CLOCK_REALTIME, which is also the clock of the kernel's receive timestamps
};

inline uint64_t Now() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace numbered

#endif  // SLUICE_TEST_BENCH_NUMBERED_PACKET_H_
