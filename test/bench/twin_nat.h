// nfs/nat in C++, for datagrams over IPv4 and one rule: inside hosts that have the addresses of a pool, with mappings
// that are endpoint-independent, filtering that depends on the address, and paired pooling, as they are by default.
// What comes otherwise is dropped, and a comparison shows it.
#pragma once

#include "twin_nat_ports.h"

namespace sluice::twin {

class NatTwin {
 public:
  NatTwin(TwinMemory memory, uint32_t tables);

  /** Whether the entries have the sizes that the function's have. */
  bool Fits() const;
  /** One batch, like nf_process. */
  void Process();

 private:
  /** The tuple of direction 0 as it enters. */
  struct Tuple {
    uint32_t source, destination;
    uint16_t source_port, destination_port;
  };

  void Translate(const Record& record, Result* result);
  void Follow(const Record& record, const SessionTwin& session, Result* result) const;
  uint32_t Begin(const Record& record, Result* result);
  uint32_t Open(const Record& record, const Tuple& tuple, uint32_t mapping);
  uint32_t FindMapping(const Tuple& tuple);
  uint32_t MakeMapping(const Tuple& tuple, uint32_t bucket);
  int32_t ChoosePort(const Tuple& tuple, const HostTwin& host, uint32_t* member);
  uint32_t HoldHost(uint32_t address) const;
  uint32_t Permit(uint32_t mapping, uint32_t address) const;
  void Name(uint32_t flow, const SessionTwin& session) const;
  void Bind(uint32_t flow, const SessionTwin& session) const;
  uint8_t* Submit(uint16_t kind, uint16_t flags, uint32_t body_bytes, uint32_t flow, uint32_t value) const;
  bool IsClaimed(uint32_t address) const;

  TwinMemory memory_;
  NatTables tables_;
  NatStore store_;
  NatPorts ports_;
};

}  // namespace sluice::twin
