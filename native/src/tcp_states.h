// The states of a TCP connection for somebody in between, who sees what the ends send, not what they do. So the state
// follows from what each side has sent and what of it the other side has acknowledged:
//
//   SYN sent   SYN acked   FIN sent   FIN acked
//   by one     none        none                   SYN_SENT
//   by both    none        none                   SYN_SENT_2     both open at the same time
//   by both    one         none                   SYN_RECEIVED
//   by both    both        none                   ESTABLISHED
//                          by one     no          FIN_WAIT
//                          by one     yes         CLOSE_WAIT     half-closed
//                          by both    not both    LAST_ACK
//                          by both    both        TIME_WAIT
//   a valid RST                                   CLOSED
//
// and this is what the valid segments of a connection do. ACK stands for data, too, FIN for FIN with ACK; `a` is the
// side whose SYN came first, `b` the other one, and no letter is either; (m) only where midstream pick-up is
// configured.
//
//   from \ segment  SYN                 SYN/ACK              ACK                  FIN                   RST
//   NEW             SYN_SENT            SYN_RECEIVED (m)     ESTABLISHED (m)      FIN_WAIT (m)          invalid
//   SYN_SENT        a: stays            a: invalid           ESTABLISHED (m)      FIN_WAIT (m)          CLOSED
//                   b: SYN_SENT_2       b: SYN_RECEIVED
//   SYN_SENT_2      stays               SYN_RECEIVED         SYN_RECEIVED         FIN_WAIT              CLOSED
//   SYN_RECEIVED    the same: stays     the same: stays      a: ESTABLISHED       FIN_WAIT              CLOSED
//                   other: challenge    opening at once:     b: stays
//                                       ESTABLISHED
//   ESTABLISHED     challenge           the same: stays      stays                FIN_WAIT              CLOSED
//   FIN_WAIT        challenge           the same: stays      CLOSE_WAIT, if it    the other: LAST_ACK   CLOSED
//                                                            acks the FIN
//   CLOSE_WAIT      challenge           the same: stays      stays                the other: LAST_ACK   CLOSED
//   LAST_ACK        challenge           the same: stays      TIME_WAIT, if both   stays                 CLOSED
//                                                            FINs are acked
//   TIME_WAIT       a new connection    the same: stays      stays                stays                 stays
//   CLOSED          a new connection    stays                stays                stays                 stays
//
// A SYN that challenges is remembered: the SYN/ACK that answers it begins a new connection from every state, too.
#pragma once

#include <array>
#include <cstdint>

#include "abi.h"

namespace sluice {

// What has happened, one bit for each side: `kSynSent << direction`.
inline constexpr uint8_t kSynSent = 0x01;
inline constexpr uint8_t kSynAcked = 0x04;
inline constexpr uint8_t kFinSent = 0x10;
inline constexpr uint8_t kFinAcked = 0x40;
inline constexpr uint8_t kBothSides = 3;

inline constexpr uint8_t kSynSteps = kBothSides * (kSynSent | kSynAcked);

inline bool IsOpened(uint8_t steps) { return (steps & kSynSteps) == kSynSteps; }

constexpr uint8_t OpeningState(uint8_t steps) {
  const uint8_t sent = steps & kBothSides, acked = (steps / kSynAcked) & kBothSides;
  if (acked == kBothSides) return abi::kFlowStateEstablished;
  if (acked != 0) return abi::kFlowStateSynReceived;
  if (sent == kBothSides) return abi::kFlowStateSynSent2;
  return sent != 0 ? abi::kFlowStateSynSent : abi::kFlowStateNew;
}

constexpr uint8_t ClosingState(uint8_t steps) {
  const uint8_t sent = (steps / kFinSent) & kBothSides, acked = (steps / kFinAcked) & kBothSides;
  if (sent != kBothSides) return acked == 0 ? abi::kFlowStateFinWait : abi::kFlowStateCloseWait;
  return acked == kBothSides ? abi::kFlowStateTimeWait : abi::kFlowStateLastAck;
}

constexpr auto StatesOfSteps() {
  std::array<uint8_t, 256> states{};
  for (unsigned steps = 0; steps < states.size(); ++steps) {
    const auto taken = static_cast<uint8_t>(steps);
    states[steps] = (steps & kBothSides * kFinSent) != 0 ? ClosingState(taken) : OpeningState(taken);
  }
  return states;
}
inline constexpr auto kStateOfSteps = StatesOfSteps();

}  // namespace sluice
