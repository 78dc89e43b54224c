// How a connection opens, in every way: SYN, SYN/ACK, both at once, again on the same ports, or unseen.
#pragma once

#include "tcp_frame.h"

namespace sluice {

// Where a segment of the handshake leads. `kAdvance`: the connection is ready for it, like for any other segment.
enum class Handshake : uint8_t { kAdvance, kChallenge, kInvalid, kReuse };

Handshake MeetSyn(const TcpFrame& frame);     // SYN without ACK
Handshake MeetSynAck(const TcpFrame& frame);  // SYN and ACK
Handshake PickUp(const TcpFrame& frame);      // neither, in NEW or SYN_SENT

}  // namespace sluice
