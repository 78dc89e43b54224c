// The word in shared memory by which the threads of generations pass a lane on: who has it, and 0 between two. What the
// engine's threads do with Atomics.wait costs some ten microseconds each way, in which nobody has the lane.
#pragma once

#include <cstdint>

namespace sluice {

// Nobody has the lane. If somebody waits for it, the calling thread sleeps for a moment at once.
void ReleaseBaton(int32_t* holder, bool is_awaited);

// Waits until nobody has the lane, which is `thread`'s then; false after `for_ns`, or when it is asked to look up.
bool TakeBaton(int32_t* holder, int32_t thread, int64_t for_ns);

// Who waits looks up: the lane may be somebody else's to take.
void ShakeBaton(int32_t* holder);

// The clock of process.hrtime().
int64_t MonotonicNs();

}  // namespace sluice
