// Which of several lanes a frame belongs to: both directions of a flow, all its fragments, and the ICMP errors about it
// go to the same one.
#pragma once

#include <cstdint>

#include "detours.h"
#include "flow_key.h"
#include "record.h"
#include "spread_rule.h"

namespace sluice {

// 0 … lanes - 1, as the spread says, unless the flow takes a detour; of an ICMP error, that of the packet that it
// quotes. An error in fragments goes by its own addresses: only the first has the quote. Later fragments follow their
// first one; before that comes they go where their addresses say. Frames without a sound IP header go to lane 0.
class LaneChoice {
 public:
  LaneChoice(const Record& record, const uint8_t* bytes, Detours& detours, const LaneSpread& now);

  uint32_t lane() const { return lane_; }
  // By another spread.
  uint32_t Among(const LaneSpread& spread) const;

 private:
  int32_t DetourOfFragment(const Record& record, const uint8_t* bytes, Detours& detours, const LaneSpread& now);

  FlowKey key_;
  bool has_key_;
  bool is_later_ = false;  // a fragment without ports
  int32_t detour_ = -1;
  uint32_t lane_;
};

// The lane of a flow whose first tuple has this key, and is sent by that end of it. What functions turn from one shared
// address to another comes to the lane of the port that it goes to.
uint32_t LaneOfFlow(const FlowKey& key, uint8_t side, const LaneSpread& spread);

// The key of the frame, or of the packet that it quotes; zone and VLAN do not matter. False without a sound IP header.
bool ReadChoiceKey(const Record& record, const uint8_t* bytes, FlowKey* key);

// The lane to which a frame of `lane` is to come that a function has turned: the one whose flow it is, or that has the
// port of the shared address to which it goes; -1 if none is to have it. An ICMP error goes to the endpoint that sent
// what it quotes.
int32_t LaneOfTurned(const Record& record, const uint8_t* bytes, Detours& detours, const LaneSpread& spread,
                     uint32_t lane);

}  // namespace sluice
