// A function's memory as its native twin sees it: the same addresses, the same bytes.
#pragma once

#include <cstdint>
#include <cstring>

#include "abi.h"
#include "record.h"

namespace sluice::twin {

class TwinMemory {
 public:
  explicit TwinMemory(uint8_t* base) : base_(base) {}

  template <typename T>
  T Load(uint32_t address, uint32_t offset = 0) const {
    T value;
    std::memcpy(&value, base_ + address + offset, sizeof value);
    return value;
  }

  template <typename T>
  T* At(uint32_t address) const {
    return reinterpret_cast<T*>(base_ + address);
  }

  uint32_t Context(uint32_t field) const { return Load<uint32_t>(abi::kContextAddress, field); }
  const Batch& batch() const { return *At<Batch>(Context(abi::kContextBatchAddress)); }
  const Record* records() const { return At<Record>(Context(abi::kContextRecordsAddress)); }
  Result* results() const { return At<Result>(Context(abi::kContextResultsAddress)); }

  void Count(uint32_t counter, uint64_t amount = 1) const { *At<uint64_t>(counter) += amount; }

 private:
  uint8_t* base_;
};

}  // namespace sluice::twin
