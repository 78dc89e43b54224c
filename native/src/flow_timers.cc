#include "flow_timers.h"

#include <algorithm>
#include <bit>

namespace sluice {
namespace {

// Flows that one call may move to where they belong, beyond those that it has room for. Each costs a cache miss or two.
constexpr uint32_t kExtraMoves = 32;

}  // namespace

std::unique_ptr<FlowTimers> FlowTimers::Make(uint32_t capacity, uint64_t now_ns) {
  const size_t bytes = (size_t{capacity} + 1) * sizeof(Node);
  PrivateMemory memory = PrivateMemory::Make(bytes, bytes);
  if (memory.data() == nullptr) return nullptr;
  return std::unique_ptr<FlowTimers>(new FlowTimers(std::move(memory), capacity, now_ns));
}

void FlowTimers::Place(uint32_t flow) {
  Node& node = nodes_[flow];
  if (node.deadline_ns <= time_ns_) {
    node.slot = kDue;
    due_.Add(flow);
    return;
  }
  const uint32_t level = (63 - std::countl_zero(node.deadline_ns ^ time_ns_)) / 8;
  const uint32_t byte = node.deadline_ns >> level * 8 & 0xff;
  node.slot = static_cast<uint16_t>(level * kSlotsPerLevel + byte);
  uint32_t& head = heads_[node.slot];
  node.next = head;
  node.previous = 0;
  if (head != 0) nodes_[head].previous = flow;
  head = flow;
  occupied_[level][byte / 64] |= uint64_t{1} << byte % 64;
}

void FlowTimers::Unlink(uint32_t flow) {
  Node& node = nodes_[flow];
  const uint16_t slot = node.slot;
  node.slot = kNoSlot;
  if (slot == kDue) return due_.Remove(flow);
  if (node.next != 0) nodes_[node.next].previous = node.previous;
  if (node.previous != 0) {
    nodes_[node.previous].next = node.next;
    return;
  }
  heads_[slot] = node.next;
  if (node.next != 0) return;
  const uint32_t byte = slot % kSlotsPerLevel;
  occupied_[slot / kSlotsPerLevel][byte / 64] &= ~(uint64_t{1} << byte % 64);
}

// Deadlines on a lower level differ from the time in a lower byte only, so they come before all of a higher one.
uint16_t FlowTimers::LowestSlot() const {
  for (uint32_t level = 0; level < kLevels; ++level) {
    for (uint32_t word = 0; word < kSlotsPerLevel / 64; ++word) {
      if (occupied_[level][word] == 0) continue;
      return static_cast<uint16_t>(level * kSlotsPerLevel + word * 64 + std::countr_zero(occupied_[level][word]));
    }
  }
  return kNoSlot;
}

// Goes on to the next slot that has flows. False if its time has not come.
bool FlowTimers::Advance(uint64_t now_ns) {
  const uint16_t slot = LowestSlot();
  if (slot == kNoSlot || StartOf(slot) > now_ns) return false;
  time_ns_ = StartOf(slot);
  reached_ = slot;
  // A flow that is alone in its slot comes before all others: nothing to sort on the levels below.
  const Node& node = nodes_[heads_[slot]];
  const bool in_slot = (node.deadline_ns ^ time_ns_) >> slot / kSlotsPerLevel * 8 == 0;
  if (node.next == 0 && in_slot && node.deadline_ns <= now_ns) time_ns_ = std::max(time_ns_, node.deadline_ns);
  return true;
}

uint32_t FlowTimers::Expired(uint64_t now_ns, uint32_t* flows, uint32_t room) {
  uint32_t taken = 0;
  for (uint32_t moves = room + kExtraMoves; taken < room && moves > 0; --moves) {
    if (heads_[reached_] == 0 && due_.empty() && !Advance(now_ns)) break;
    // A slot is emptied before any of its flows is taken, so that they come out in order.
    const bool sorted = heads_[reached_] == 0;
    const uint32_t flow = sorted ? due_.Lowest() : heads_[reached_];
    Unlink(flow);
    if (sorted && nodes_[flow].deadline_ns <= time_ns_) {
      flows[taken++] = flow;
    } else {
      __builtin_prefetch(&nodes_[heads_[reached_]], 1);
      Place(flow);
    }
  }
  return taken;
}

uint64_t FlowTimers::Next() const {
  if (heads_[reached_] != 0 || !due_.empty()) return time_ns_;
  const uint16_t slot = LowestSlot();
  return slot == kNoSlot ? UINT64_MAX : StartOf(slot);
}

void FlowTimers::AddUnassured(uint32_t flow) {
  Node& node = nodes_[flow];
  if (node.unassured) return;
  node.unassured = true;
  node.younger = 0;
  node.older = nodes_[0].older;
  nodes_[node.older].younger = flow;
  nodes_[0].older = flow;
}

void FlowTimers::RemoveUnassured(uint32_t flow) {
  Node& node = nodes_[flow];
  if (!node.unassured) return;
  node.unassured = false;
  nodes_[node.older].younger = node.younger;
  nodes_[node.younger].older = node.older;
}

}  // namespace sluice
