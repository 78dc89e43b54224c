// Questions for link addresses and answers to them: ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861). Reads
// what comes, and writes what a port says that answers for others.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "forwarding.h"
#include "record.h"

namespace sluice {

struct NeighbourMessage {
  enum class Kind : uint8_t { kNone, kRequest, kReply };
  Kind kind = Kind::kNone;
  uint8_t version = 0;
  bool has_link = false;   // IPv6 messages may leave it out
  bool overrides = false;  // a reply that is to replace what is known
  AddressBytes sender{};   // zero: it has none yet, and asks whether somebody else has the target
  AddressBytes target{};   // of a request: who is looked for; of a reply: whom it is about
  MacAddress link{};       // of a request: the sender's; of a reply: the target's

  bool is_anonymous() const { return sender == AddressBytes{}; }
};

// What the Ethernet frame says; kNone for everything else, and for what RFC 4861 (7.1) or RFC 826 would have ignored.
NeighbourMessage ReadNeighbourMessage(const Record& record, const uint8_t* frame);

// Whether the parsed frame may be one: the others need no look at their bytes.
bool MayBeNeighbourMessage(const Record& record);

inline constexpr uint32_t kNeighbourFrameBytes = 128;
using NeighbourFrame = std::array<uint8_t, kNeighbourFrameBytes>;

// The answer to `request`, which is the frame of `record`: its target is at `mac`. Its tags are kept. With `overrides`
// it is the target itself that speaks. Returns the frame's length.
uint32_t WriteNeighbourAnswer(const Record& record, const uint8_t* frame, const NeighbourMessage& request,
                              const MacAddress& mac, bool overrides, NeighbourFrame* out);

// Asks for `target`. `tags`: all between the link addresses and the ethertype. `sender` is zero if there is none
// (RFC 5227's probe); IPv6 asks from the link-local address of `mac`. Returns the frame's length.
uint32_t WriteNeighbourRequest(uint8_t version, const AddressBytes& target, std::span<const uint8_t> tags,
                               const MacAddress& mac, const AddressBytes& sender, NeighbourFrame* out);

// RFC 4291, appendix A.
AddressBytes LinkLocalOf(const MacAddress& mac);

}  // namespace sluice
