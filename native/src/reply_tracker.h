// Flows of which no more is known than whether there was a reply: UDP, ICMP, and protocols without a tracker of their
// own. NEW until the reply, ESTABLISHED after it.
#pragma once

#include "tcp_tracker.h"

namespace sluice {

TrackResult TrackUdp(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                     const FlowTimeouts& timeouts);

// An answer that nobody asked for is invalid where flows are not picked up in the middle.
TrackResult TrackIcmp(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                      const TrackerConfig& config);

TrackResult TrackOther(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                       const FlowTimeouts& timeouts);

}  // namespace sluice
