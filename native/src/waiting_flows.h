// How many blocks each flow holds, and the flows that hold any, longest first: for the case that the buffer runs out
// while flows that fell silent keep most of it. Part of stream_table.cc.
#pragma once

#include <cstdint>
#include <memory>

namespace sluice {

class WaitingFlows {
 public:
  explicit WaitingFlows(uint32_t capacity);

  uint16_t& blocks(uint32_t flow) { return entries_[flow].blocks; }
  // After blocks(flow) changed from `before`.
  void Update(uint32_t flow, uint16_t before);
  // 0 if none holds a block.
  uint32_t oldest() const { return entries_[0].newer; }
  void MakeNewest(uint32_t flow);

 private:
  // entries_[0] closes the ring: oldest is its newer, newest its older.
  struct Entry {
    uint32_t older, newer;
    uint16_t blocks;
  };
  void Append(uint32_t flow);
  void Remove(uint32_t flow);

  std::unique_ptr<Entry[]> entries_;
};

}  // namespace sluice
