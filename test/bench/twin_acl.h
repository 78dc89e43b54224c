// nfs/acl in C++: the same passes over the very tables that the function built in its memory (nfs/acl/tables.ts).
#pragma once

#include "twin_memory.h"

namespace sluice::twin {

class AclTwin {
 public:
  /** `root`: address of the tables; `unmatched`: of the counter for frames without a rule. Denies by default. */
  AclTwin(TwinMemory memory, uint32_t root, uint32_t unmatched) : memory_(memory), root_(root), unmatched_(unmatched) {}

  /** One batch, like nf_process. */
  void Process();

 private:
  struct Rows {
    uint32_t source;
    uint32_t destination;
    uint32_t destination_port;
    uint32_t ip_proto;
  };

  void FindAddresses(const Batch& batch, const Record* records);
  void FindAddresses6(uint32_t header, Rows* rows) const;
  uint32_t LowerHalf(uint32_t row, uint32_t low) const;
  void FindValues(const Batch& batch, const Record* records);
  void Intersect(const Batch& batch, const Record* records);
  uint64_t WithExtras(const Record& record, uint32_t block, uint32_t offset, uint64_t bits) const;
  void Apply(const Record& record, uint32_t match, Result* result) const;
  bool IsAddressResolution(const Record& record) const;
  uint32_t RowOf(uint32_t field, uint32_t value) const;
  uint64_t WordAt(uint32_t block, uint32_t offset) const;

  template <typename T>
  uint32_t ChildOf(uint32_t nodes, uint32_t index, T value) const;

  TwinMemory memory_;
  uint32_t root_;
  uint32_t unmatched_;
  Rows rows_[abi::kBatchCapacity];
  uint32_t matches_[abi::kBatchCapacity];
};

}  // namespace sluice::twin
