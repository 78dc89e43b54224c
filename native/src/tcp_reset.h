// Which resets a bystander believes (RFC 9293, section 3.5.3; RFC 5961, section 3).
#pragma once

#include "tcp_frame.h"

namespace sluice {

// A segment with RST. One that resets leaves the flow CLOSED; one in the window whose number is not the exact one makes
// its receiver ask back: it passes with the event CHALLENGE, and a true reset then comes with the number of the answer.
TcpStep MeetReset(const TcpFrame& frame);

}  // namespace sluice
