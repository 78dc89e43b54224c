// The processor's time stamp counter as a clock.
#pragma once

namespace sluice {

// Ticks per second, measured between the addon's loading and now; waits if that was less than 20 ms ago.
double TickHz();

}  // namespace sluice
