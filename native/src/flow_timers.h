// When flows end by themselves, and which goes first when the table is full. Kept outside the shared file: built anew
// from the states' deadlines when a lane takes the file over.
//
// A timing wheel (Varghese and Lauck, 1987) of eight levels with 256 slots, down to the nanosecond: a flow is in the
// slot of the highest byte in which its deadline differs from the wheel's time, and comes a level lower when that slot
// is reached. A deadline that moves further away leaves its flow where it is, to be looked at when its slot comes up.
#pragma once

#include <cstdint>
#include <memory>

#include "flow_set.h"
#include "private_memory.h"

namespace sluice {

class FlowTimers {
 public:
  // Null if there is no memory.
  static std::unique_ptr<FlowTimers> Make(uint32_t capacity, uint64_t now_ns);

  // (Re)schedules the flow; cheap enough for every packet, also when the deadline only moves further away.
  void Set(uint32_t flow, uint64_t deadline_ns) {
    Node& node = nodes_[flow];
    node.deadline_ns = deadline_ns;
    if (node.slot == kNoSlot) {
      Place(flow);
    } else if (deadline_ns < StartOf(node.slot)) {
      Unlink(flow);
      Place(flow);
    }
  }
  // Asks for what Set of this flow will need.
  void Prefetch(uint32_t flow) const { __builtin_prefetch(&nodes_[flow], 1); }
  void Clear(uint32_t flow) {
    if (nodes_[flow].slot != kNoSlot) Unlink(flow);
  }

  // Takes at most `room` flows whose deadline is not after `now_ns`, in the order of their deadlines, equal ones by
  // flow number; returns how many. A deadline before one that was taken counts as that one. Work is bounded by `room`
  // and a constant, whatever the distance to the last call: with much to sort it may return fewer than there are, and
  // Next() is then not after `now_ns`. `now_ns` never goes back.
  uint32_t Expired(uint64_t now_ns, uint32_t* flows, uint32_t room);

  // Not after the earliest deadline, and UINT64_MAX only if there is none. Whoever jumps from one Next() to the next
  // and calls Expired there meets every deadline exactly.
  uint64_t Next() const;

  // The list of flows that may be evicted (unassured), oldest first. A flow is in it once at most.
  void AddUnassured(uint32_t flow);
  void RemoveUnassured(uint32_t flow);
  // 0 if the list is empty.
  uint32_t OldestUnassured() const { return nodes_[0].younger; }

 private:
  static constexpr uint32_t kLevels = 8;
  static constexpr uint32_t kSlotsPerLevel = 256;
  // Slots are numbered through all levels. The first of each level holds nothing: a deadline that differs from the time
  // in some byte first is greater there.
  static constexpr uint16_t kNoSlot = 0;
  static constexpr uint16_t kDue = kLevels * kSlotsPerLevel;  // its time has come: in due_

  struct Node {
    uint64_t deadline_ns;
    uint32_t next;  // in the slot; 0 ends a list
    uint32_t previous;
    uint32_t younger;  // in the ring of unassured flows, which node 0 closes
    uint32_t older;
    uint16_t slot;
    bool unassured;
  };
  static_assert(sizeof(Node) == 32);

  FlowTimers(PrivateMemory memory, uint32_t capacity, uint64_t now_ns)
      : memory_(std::move(memory)), nodes_(static_cast<Node*>(memory_.data())), time_ns_(now_ns), due_(capacity + 1) {}

  // The first deadline that a slot is for: when it is reached.
  uint64_t StartOf(uint16_t slot) const {
    if (slot == kDue) return 0;
    const uint32_t shift = slot / kSlotsPerLevel * 8;
    const uint64_t above = time_ns_ & ~uint64_t{0} << shift << 8;
    return above | uint64_t{slot % kSlotsPerLevel} << shift;
  }

  void Place(uint32_t flow);
  void Unlink(uint32_t flow);
  uint16_t LowestSlot() const;
  bool Advance(uint64_t now_ns);

  const PrivateMemory memory_;
  Node* const nodes_;
  uint64_t time_ns_;            // of the slot that was reached last: all deadlines before it are due
  uint16_t reached_ = kNoSlot;  // the slot that is being emptied
  FlowSet due_;
  uint64_t occupied_[kLevels][kSlotsPerLevel / 64] = {};
  uint32_t heads_[kLevels * kSlotsPerLevel] = {};
};

}  // namespace sluice
