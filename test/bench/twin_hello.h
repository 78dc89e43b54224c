// nfs/hello in C++.
#pragma once

#include "twin_memory.h"

namespace sluice::twin {

class HelloTwin {
 public:
  /** `counters`: address of the function's four counters: IPv4, IPv6, others, bytes. */
  HelloTwin(TwinMemory memory, uint32_t counters) : memory_(memory), counters_(counters) {}

  /** One batch, like nf_process. */
  void Process();

 private:
  TwinMemory memory_;
  uint32_t counters_;
};

}  // namespace sluice::twin
