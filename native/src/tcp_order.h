// Whether a segment brings something new in order, out of order, or again.
#pragma once

#include "tcp_frame.h"

namespace sluice {

// Events and counters of a segment in the window whose sender was `expected` to go on from there: DATA; RETRANSMISSION
// if some of it came by before; OUT_OF_ORDER if it fills a gap that segments before it left. Keep-alives and repeated
// probes of a closed window are neither.
uint32_t NoteOrder(const TcpFrame& frame, uint32_t expected);

}  // namespace sluice
