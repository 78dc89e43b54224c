// One segment on its way through the tracker, and what came of it. Shared by the parts of tcp_tracker.cc.
#pragma once

#include <cstdint>
#include <limits>

#include "flow_state.h"
#include "tcp_connection.h"
#include "tcp_segment.h"
#include "tcp_tracker.h"

namespace sluice {

enum class TcpOutcome : uint8_t {
  kTaken,    // part of the connection: the deadline moves
  kPassed,   // let by; the connection is as it was
  kInvalid,  // not of this connection
  kReuse,    // the first of a new connection
};

struct TcpStep {
  TcpOutcome outcome;
  uint32_t events;
};

inline TcpStep Taken(uint32_t events = 0) { return {TcpOutcome::kTaken, events}; }
inline TcpStep Passed(uint32_t events = 0) { return {TcpOutcome::kPassed, events}; }
inline TcpStep Invalid() { return {TcpOutcome::kInvalid, abi::kEventInvalid}; }

struct TcpFrame {
  FlowState& flow;
  TcpConnection& connection;
  const TcpSegment& segment;
  const TrackerConfig& config;
  uint64_t now_ns;
  uint8_t from;  // the sender's direction
  bool fragment;

  uint8_t to() const { return from ^ 1; }
  TcpSide& sender() const { return connection.sides[from]; }
  TcpSide& receiver() const { return connection.sides[to()]; }
  TcpTraits& sender_traits() const { return connection.traits[from]; }
  TcpTraits& receiver_traits() const { return connection.traits[to()]; }
  bool took(uint8_t step, uint8_t direction) const { return (connection.steps & (step << direction)) != 0; }
};

inline void CountUp(uint16_t& counter) { counter += counter != std::numeric_limits<uint16_t>::max(); }

}  // namespace sluice
