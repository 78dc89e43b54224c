// The packet that an ICMP or ICMPv6 error quotes (RFC 792, RFC 4443, RFC 4884): which flow it is about.
#pragma once

#include <cstdint>

#include "flow_key.h"
#include "record.h"

namespace sluice {

// False if the frame is no ICMP error or quotes too little. `endpoints`, `ip_proto` and `ip_version` are those of the
// quoted packet as its sender sent it: the error itself travels the other way. The quote may end behind the ports, or
// behind an echo's identifier, which stands for both ports; other protocols have none. Quoted errors and later
// fragments are too little.
bool ReadQuotedPacket(const Record& record, const uint8_t* bytes, Endpoints* endpoints, uint8_t* ip_proto,
                      uint8_t* ip_version);

}  // namespace sluice
