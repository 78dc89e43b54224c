// What all protocols' trackers share: deadlines, and frames that do not belong to their flow.
#pragma once

#include <cstdint>

#include "flow_state.h"
#include "tcp_tracker.h"

namespace sluice {

// A function's timeout goes before the state's own.
inline uint64_t DeadlineOf(const FlowState& flow, uint32_t seconds, uint64_t now_ns) {
  constexpr uint64_t kNsPerSecond = 1'000'000'000, kNsPerMs = 1'000'000;
  return now_ns + (flow.timeout_ms != 0 ? flow.timeout_ms * kNsPerMs : seconds * kNsPerSecond);
}

// Does not prolong a flow, unless that has known nothing else so far.
inline TrackResult InvalidFrame(FlowState& flow, uint32_t seconds, uint64_t now_ns) {
  ++flow.invalid;
  const bool only = flow.state == abi::kFlowStateNew;
  return {abi::kEventInvalid, only ? DeadlineOf(flow, seconds, now_ns) : flow.deadline_ns, false};
}

}  // namespace sluice
