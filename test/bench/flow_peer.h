// Another hash table with the same keys, to be measured beside ours.
#pragma once

#include <cstdint>
#include <memory>

#include "flow_key.h"

namespace bench {

class FlowPeer {
 public:
  virtual ~FlowPeer() = default;

  virtual bool Insert(const sluice::FlowKey& key) = 0;
  // Looks up keys[0 … count) in the largest batches that it takes; returns how many it found.
  virtual uint32_t Find(const sluice::FlowKey* keys, uint32_t count) = 0;
};

// For `tuples` keys. Null if it could not be set up; says why on stderr.
std::unique_ptr<FlowPeer> MakeFlowPeer(uint32_t tuples);

}  // namespace bench
