// nfs/sdk/classifier in C++: the same passes over the very tables that a function built in its memory (tables.ts).
#pragma once

#include "twin_memory.h"

namespace sluice::twin {

/** 0 where a damaged header makes addresses, protocol and ports unreadable or unsure. */
inline uint32_t IpVersion(const Record& record) { return record.malformed == 0 ? record.ip_version : 0; }

class ClassifierTwin {
 public:
  /** What the function itself says of a frame. */
  struct Context {
    uint16_t values[8];
  };

  /** `root`: address of the tables. */
  ClassifierTwin(TwinMemory memory, uint32_t root) : memory_(memory), root_(root) {}

  /** The rule of each record that `input` names, or the number of rules. `contexts` only if rules ask for them. */
  const uint32_t* Match(const Record* records, const uint16_t* input, uint32_t count, const Context* contexts);
  uint32_t rule_count() const;

 private:
  struct Rows {
    uint32_t source;
    uint32_t destination;
    uint32_t destination_port;
    uint32_t ip_proto;
  };

  void FindAddresses();
  void FindAddresses6(uint32_t header, Rows* rows) const;
  uint32_t LowerHalf(uint32_t row, uint32_t low) const;
  void FindValues();
  void Intersect();
  uint64_t WithExtras(uint32_t frame, uint32_t block, uint32_t offset, uint64_t bits) const;
  uint32_t ValueOf(uint32_t frame, uint32_t field) const;
  uint32_t RowOf(uint32_t field, uint32_t value) const;
  uint64_t WordAt(uint32_t block, uint32_t offset) const;
  const Record& RecordAt(uint32_t frame) const { return records_[input_[frame]]; }

  template <typename T>
  uint32_t ChildOf(uint32_t nodes, uint32_t index, T value) const;

  TwinMemory memory_;
  uint32_t root_;
  const Record* records_ = nullptr;
  const uint16_t* input_ = nullptr;
  const Context* contexts_ = nullptr;
  uint32_t count_ = 0;
  Rows rows_[abi::kBatchCapacity];
  uint32_t matches_[abi::kBatchCapacity];
};

}  // namespace sluice::twin
