#include "waiting_flows.h"

namespace sluice {

WaitingFlows::WaitingFlows(uint32_t capacity) : entries_(std::make_unique<Entry[]>(uint64_t{capacity} + 1)) {}

void WaitingFlows::Update(uint32_t flow, uint16_t before) {
  const uint16_t now = entries_[flow].blocks;
  if (before == 0 && now > 0) Append(flow);
  if (before > 0 && now == 0) Remove(flow);
}

void WaitingFlows::MakeNewest(uint32_t flow) {
  Remove(flow);
  Append(flow);
}

void WaitingFlows::Append(uint32_t flow) {
  Entry& entry = entries_[flow];
  entry.newer = 0;
  entry.older = entries_[0].older;
  entries_[entry.older].newer = flow;
  entries_[0].older = flow;
}

void WaitingFlows::Remove(uint32_t flow) {
  const Entry& entry = entries_[flow];
  entries_[entry.older].newer = entry.newer;
  entries_[entry.newer].older = entry.older;
}

}  // namespace sluice
