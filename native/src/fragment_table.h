// Fragments of IPv4 and IPv6 packets: finds the ports that only the first one carries, without reassembling, and
// refuses what only attackers send (RFC 791, RFC 815, RFC 1858, RFC 3128, RFC 5722, RFC 8200 section 4.5).
//
// A packet is known by zone, VLAN, addresses, identification and, in IPv4, protocol, in one direction:
//
//   later fragment ──▶ waiting ──first fragment──▶ settled ──all bytes passed──▶ done ──linger_ms──▶ forgotten
//                         │                           ▲ │
//                         │ refused ──────────────────┘ └ timeout_ms: forgotten
//                         └ timeout_ms, or room for newer packets: held frames go back as incomplete
//
// One refused fragment spoils its packet: whatever comes of it later is refused for the same reason, in IPv4, too.
// Exact duplicates do not spoil it; they are dropped, as in Linux. A whole packet's fragments pass in any order, but
// none before the first.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "flow_key.h"
#include "port.h"
#include "record.h"

namespace sluice {

class Detours;

enum class FragmentVerdict : uint8_t {
  kPass,  // ports and `ip_proto` are those of the whole packet
  kHold,  // came before the first fragment: the table keeps the frame
  kDrop,  // `reason`
};

enum class FragmentReason : uint8_t {
  kNone,
  kOverlap,     // bytes that came already, or behind the packet's end
  kTiny,        // the first fragment ends within the transport header, or another one begins there
  kTooLong,     // the whole would be above 65535 bytes
  kTooMany,     // of one packet
  kTableFull,   // no room to hold it
  kIncomplete,  // the first fragment never came, or other packets needed the room
  kDuplicate,   // the same bytes again
  kMalformed,   // no data, a length that is no multiple of 8, headers that are not sound
};

struct HeldFragment {
  Frame frame;
  uint64_t number;  // the lane's number of the frame
  uint8_t port;
};

struct FragmentResult {
  FragmentVerdict verdict;
  FragmentReason reason;
  uint8_t ip_proto;
  uint16_t source_port;  // as in Endpoints: of ICMP echoes the identifier, twice; 0 if there are none
  uint16_t destination_port;
};

struct FragmentLimits {
  uint32_t packets = 4096;  // under way at the same time
  uint32_t fragments = 64;  // per packet; the cost of each grows with them
  uint32_t held = 1024;     // frames kept in all
  uint32_t held_per_packet = 16;
  uint32_t timeout_ms = 30000;
  uint32_t linger_ms = 100;  // after the last fragment; short, since IPv4 soon uses its identifications again
};

class FragmentTable {
 public:
  // All memory is allocated here. `seed` keys the hash.
  static std::unique_ptr<FragmentTable> Make(const FragmentLimits& limits, uint64_t seed);
  virtual ~FragmentTable() = default;

  // One fragment (record.flags has kRecordFlagFragment), sound or malformed. With kHold the table has taken `held`.
  // Atomic fragments (RFC 6946) are no fragments in this sense; like any whole packet, they pass untouched.
  virtual FragmentResult Admit(const Record& record, const uint8_t* bytes, uint16_t zone, const HeldFragment& held,
                               uint64_t now_ns) = 0;

  // After Admit: fragments that no longer wait, since their first fragment passed or their packet was refused, in the
  // order of their arrival. They are the caller's again, and pass Admit like new ones; that returns kPass or kDrop.
  virtual uint32_t Released(std::span<HeldFragment> out) = 0;

  // Packets whose time is over, or which others needed the room of: their held frames, to be dropped with kIncomplete.
  virtual uint32_t Expired(uint64_t now_ns, std::span<HeldFragment> out) = 0;
  // The earliest time at which Expired has something, 0 if it has already, or UINT64_MAX.
  virtual uint64_t Next() const = 0;

  // With several lanes: packets that wait here, and whose first fragment went to another lane, are released and
  // forgotten. A few are looked at; false if none of them was such a packet. All are, once, after LookAgain.
  virtual bool Leave(const Detours& detours, uint32_t lane) = 0;
  virtual void LookAgain() = 0;
  // Whether there are more to look at.
  virtual bool looks() const = 0;
  // Whether any frame is held.
  virtual bool holds() const = 0;

  // Packets that were forgotten before their time, to make room for newer ones.
  virtual uint64_t evicted() const = 0;
};

}  // namespace sluice
