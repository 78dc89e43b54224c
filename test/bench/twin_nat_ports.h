// Ports of outside addresses (nfs/nat/ports.ts), in C++ and in the very segment of the function.
#pragma once

#include "twin_nat_store.h"

namespace sluice::twin {

class NatPorts {
 public:
  NatPorts(TwinMemory memory, const NatTables& tables) : memory_(memory), tables_(tables) {}

  /** A free UDP port of the pool's member, of the parity that the inside port has; -1 if there is none. */
  int32_t Find(uint32_t member, uint32_t inside_port, uint32_t start);
  /** Takes the port that was found last. Returns the number of the member's address in the directory. */
  uint32_t Take(uint32_t port) const;

 private:
  int32_t PlaceOf(uint32_t address) const;
  uint32_t SetOf(uint32_t place) const;
  int32_t Scan(uint32_t set, uint32_t first, uint32_t last, uint64_t wanted) const;

  TwinMemory memory_;
  const NatTables& tables_;
  /** Number of each member's address in the directory, as last found there. */
  int32_t places_[256] = {};
  int32_t place_ = 0;
};

}  // namespace sluice::twin
