// Which of several lanes a frame belongs to: both directions of a flow, all its fragments, and the ICMP errors about it
// go to the same one.
#pragma once

#include <cstdint>

#include "detours.h"
#include "flow_key.h"
#include "record.h"

namespace sluice {

// 0 … lanes - 1, by the pair of addresses; of an ICMP error, by the pair of the packet that it quotes. An error in
// fragments goes by its own pair: only the first has the quote. Frames without a sound IP header go to lane 0.
uint32_t LaneOf(const Record& record, const uint8_t* bytes, uint32_t lanes);

// The same for lanes that hand over to each other, where flows may have taken another lane.
class LaneChoice {
 public:
  LaneChoice(const Record& record, const uint8_t* bytes, Detours& detours);
  uint32_t Among(uint32_t lanes) const;

 private:
  uint32_t hash_ = 0;
  int32_t detour_ = -1;
};

// The lane of a flow whose first tuple has this key.
uint32_t LaneOfFlow(const FlowKey& key, uint32_t lanes);

// The key of the frame, or of the packet that it quotes; zone and VLAN do not matter. False without a sound IP header.
bool ReadChoiceKey(const Record& record, const uint8_t* bytes, FlowKey* key);

// Symmetric, of the addresses alone: keys with the same hash are of the same lane.
uint32_t HashAddresses(const FlowKey& key);

}  // namespace sluice
