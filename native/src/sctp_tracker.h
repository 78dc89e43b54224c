// The SCTP association of a flow as a bystander sees it (RFC 9260). States have the names of TCP's:
//
//   NEW            no handshake was seen; ESTABLISHED when the other side answers, as over a second path
//   SYN_SENT       INIT                (RFC 9260: COOKIE-WAIT)
//   SYN_RECEIVED   COOKIE ECHO         (COOKIE-ECHOED)
//   ESTABLISHED    COOKIE ACK
//   FIN_WAIT       SHUTDOWN            (SHUTDOWN-SENT)
//   LAST_ACK       SHUTDOWN ACK        (SHUTDOWN-ACK-SENT)
//   TIME_WAIT      SHUTDOWN COMPLETE
//   CLOSED         ABORT
//
// Frames without the verification tag that their receiver chose are invalid.
#pragma once

#include "tcp_tracker.h"

namespace sluice {

TrackResult TrackSctp(FlowState& flow, uint8_t direction, const Record& record, const uint8_t* bytes, uint64_t now_ns,
                      const TrackerConfig& config);

}  // namespace sluice
