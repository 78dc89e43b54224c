// A lane's processor, which its thread has before others.
#pragma once

#include <sys/types.h>

#include "system_error.h"

namespace sluice {

// Binds the calling thread to `cpu`, with the highest priority of ordinary threads if the process may have that. It
// counts within the process's session (autogroup) and control group; those share processors among each other as ever.
// The thread's id, or -1.
pid_t ClaimCpu(int cpu, SystemError* error);

// Whether the calling thread runs before all ordinary threads once it wakes up, if the process may ask for that: an
// ordinary one that wakes up waits for the next tick of the clock whenever it has had more than its share.
void ComeFirst(bool does);

// The thread goes where the main thread may run, with its priority. If it has ended already, nothing happens.
bool LeaveCpu(pid_t thread, SystemError* error);

}  // namespace sluice
