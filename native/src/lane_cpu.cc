#include "lane_cpu.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace sluice {
namespace {

constexpr int kHighest = -20;

bool SetCpus(pid_t thread, const cpu_set_t& cpus, SystemError* error) {
  if (sched_setaffinity(thread, sizeof(cpus), &cpus) == 0 || errno == ESRCH) return true;
  *error = {"sched_setaffinity", "thread " + std::to_string(thread), errno};
  return false;
}

void SetPolicy(pid_t thread, int policy) {
  const sched_param parameters = {.sched_priority = policy == SCHED_FIFO ? 1 : 0};
  sched_setscheduler(thread, policy, &parameters);
}

}  // namespace

pid_t ClaimCpu(int cpu, SystemError* error) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  const pid_t thread = gettid();
  if (!SetCpus(thread, cpus, error)) return -1;
  // Without CAP_SYS_NICE it shares the processor as others do.
  setpriority(PRIO_PROCESS, static_cast<id_t>(thread), kHighest);
  return thread;
}

void ComeFirst(bool does) { SetPolicy(0, does ? SCHED_FIFO : SCHED_OTHER); }

bool LeaveCpu(pid_t thread, SystemError* error) {
  cpu_set_t cpus;
  if (sched_getaffinity(getpid(), sizeof(cpus), &cpus) != 0) {
    *error = {"sched_getaffinity", "", errno};
    return false;
  }
  SetPolicy(thread, SCHED_OTHER);
  setpriority(PRIO_PROCESS, static_cast<id_t>(thread), getpriority(PRIO_PROCESS, static_cast<id_t>(getpid())));
  return SetCpus(thread, cpus, error);
}

}  // namespace sluice
