// The flows of one lane in a shared-memory file that outlives the process: keys, states, and how to find them.
//
//   buckets ──▶ tuples (key, flow, direction; two per flow at most) ──▶ states
//   (private)   (in the file, flow_file.h)                              (in the file)
//
// Used by one thread. Flows are numbered from 1; 0 is none. A tuple is valid only by one word that is written last, so
// a process that dies in the middle of a write leaves nothing half-valid; Attach drops what was half written.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "flow_key.h"
#include "flow_state.h"
#include "tcp_segment.h"

namespace sluice {

inline constexpr uint32_t kFlowCapacityLimit = 1u << 28;

// Ports of a flow's frames, by number and plus 1; 0: not known.
struct FlowPorts {
  uint8_t entered[2];  // where those of each direction came in last
  uint8_t left;        // where its first frame went out
  uint8_t reserved[5];
};

struct FlowHit {
  uint32_t flow;      // 0: none
  uint8_t tuple;      // 0: the one it began with, 1: the one that a function bound
  uint8_t direction;  // of a frame whose sender is `side` of the key: 0 as the flow's first frame, 1 the other way
};

struct FlowRecovery {
  bool fresh;        // there was nothing, or another layout: formatted
  uint32_t kept;     // flows
  uint32_t dropped;  // half-written flows or tuples
};

class FlowTable {
 public:
  // Bytes of the memory for `capacity` flows, a multiple of the page size.
  static uint64_t BytesFor(uint32_t capacity);
  // Offset of FlowState[capacity + 1] in it, a multiple of the page size.
  static uint64_t StatesOffset(uint32_t capacity);

  // Formats `memory` (from a page's start) or takes over what is in it, whatever that is: its time goes with the
  // highest flow number that was ever used. `seed` keys the hash of a fresh table. Null if `memory` is too small,
  // `capacity` is 0 or beyond the limit, or there is no memory for the buckets.
  static std::unique_ptr<FlowTable> Attach(std::span<uint8_t> memory, uint32_t capacity, uint64_t seed,
                                           FlowRecovery* recovery);
  virtual ~FlowTable() = default;

  // Looks up keys[0 … count), hiding the memory's latency. sides[i] is the sender's endpoint.
  virtual void Find(const FlowKey* keys, const uint8_t* sides, uint32_t count, FlowHit* hits) const = 0;

  // A new flow whose first sender is `side`; its state is zero but for first_side, zone, vlan, ip_proto, ip_version.
  // 0 if the table is full. The key must not be in the table.
  virtual uint32_t Insert(const FlowKey& key, uint8_t side) = 0;

  // The flow's second tuple: frames with this key belong to it too; `side` is the endpoint that sends in direction 1
  // (replies). False if the key is taken by another flow; an earlier second tuple of the flow is replaced, by none if
  // the key is that of its first.
  virtual bool Bind(uint32_t flow, const FlowKey& key, uint8_t side) = 0;

  // Nothing if there is no such flow. Its number rests for a while before Insert gives it again, if others are free.
  virtual void Remove(uint32_t flow) = 0;

  // The key of tuple 0 or 1, null if there is none.
  virtual const FlowKey* KeyOf(uint32_t flow, uint8_t tuple) const = 0;

  // The endpoint of that key that sends in direction 0.
  virtual uint8_t SideOf(uint32_t flow, uint8_t tuple) const = 0;

  // Of a flow that lives.
  virtual FlowPorts& PortsOf(uint32_t flow) = 0;
  // How far a function has shifted the flow's sequence numbers; zero unless its flag kFlowFlagShifted is set.
  virtual TcpShifts shifts(uint32_t flow) const = 0;
  // From now on; nothing if there is no such flow.
  virtual void Shift(uint32_t flow, uint8_t direction, uint32_t shift) = 0;

  virtual uint32_t size() const = 0;
  virtual uint32_t capacity() const = 0;
  // No flow with a higher number ever lived: who visits all flows need not touch the memory beyond.
  virtual uint32_t used() const = 0;

  FlowState& state(uint32_t flow) { return states_[flow]; }
  const FlowState& state(uint32_t flow) const { return states_[flow]; }
  // Asks for the state of a flow that is to be tracked a few frames later. Flow 0 may be named, too.
  void Prefetch(uint32_t flow) const {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&states_[flow]);
    for (size_t line = 0; line < sizeof(FlowState); line += 64) __builtin_prefetch(bytes + line, 1);
  }
  bool IsLive(uint32_t flow) const { return flow != 0 && flow <= capacity() && states_[flow].state != 0; }

 protected:
  FlowState* states_ = nullptr;
};

}  // namespace sluice
