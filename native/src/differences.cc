#include "differences.h"

#include <algorithm>

namespace sluice {
namespace {

// True if the group had not seen that flow. Frames without a flow count as one.
bool NoteFlow(DifferenceGroup* group, uint32_t flow) {
  const auto seen = std::span(group->flows).first(group->flow_count);
  if (std::ranges::find(seen, flow) != seen.end()) return false;
  if (group->flow_count < DifferenceGroup::kFlows) group->flows[group->flow_count++] = flow;
  return true;
}

std::vector<uint8_t> Copy(std::span<const uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

DifferenceGroup* Differences::GroupOf(const Difference& difference) {
  for (DifferenceGroup& group : groups_) {
    if (group.live == difference.live && group.next == difference.next && group.rewrite == difference.rewrite) {
      return &group;
    }
  }
  if (groups_.size() == kGroups) return nullptr;
  groups_.push_back({.live = difference.live, .next = difference.next, .rewrite = difference.rewrite});
  return &groups_.back();
}

void Differences::Add(const Difference& difference) {
  ++count_;
  DifferenceGroup* group = GroupOf(difference);
  if (group == nullptr) {
    ++ungrouped_;
    return;
  }
  ++group->count;
  // One example per flow says more than three of the same.
  const bool fresh = NoteFlow(group, difference.flow);
  if (!fresh || group->examples.size() == kExamples) return;
  group->examples.push_back({difference.number, difference.time_ns, difference.flow, Copy(difference.received),
                             Copy(difference.live_bytes), Copy(difference.next_bytes)});
}

}  // namespace sluice
