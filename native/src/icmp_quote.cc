#include "icmp_quote.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "parse_network.h"

namespace sluice {
namespace {

// RFC 4884: in messages with extension objects the header says, in words of this many bytes, how long the quote is.
struct ErrorForm {
  bool error;
  uint8_t length_offset;  // of that field in the ICMP header, 0: the type has none
  uint8_t length_unit;
};

ErrorForm FormOf(uint8_t ip_proto, uint8_t type) {
  if (ip_proto == kProtoIcmpv6) return {type >= 1 && type <= 4, type == 1 || type == 3 ? uint8_t{4} : uint8_t{0}, 8};
  switch (type) {
    case 3:   // destination unreachable
    case 11:  // time exceeded
    case 12:  // parameter problem
      return {true, 5, 4};
    case 4:  // source quench
    case 5:  // redirect
      return {true, 0, 0};
  }
  return {};
}

// The identifier of an echo stands for both ports, as in FlowKey; other queries have none. Nobody answers an error with
// an error (RFC 1122, section 3.2.2), so no flow is found through one.
bool ReadQuotedIcmp(uint8_t ip_proto, std::span<const uint8_t> message, Endpoints* endpoints) {
  if (message.empty() || FormOf(ip_proto, message[0]).error) return false;
  if (!IsEcho(ip_proto, message[0])) return true;
  if (message.size() < 6) return false;
  endpoints->source_port = endpoints->destination_port = LoadBig16(message.data() + 4);
  return true;
}

bool ReadQuotedPorts(uint8_t ip_proto, std::span<const uint8_t> transport, Endpoints* endpoints) {
  switch (ip_proto) {
    case kProtoTcp:
    case kProtoUdp:
    case kProtoSctp:
      if (transport.size() < 4) return false;
      endpoints->source_port = LoadBig16(transport.data());
      endpoints->destination_port = LoadBig16(transport.data() + 2);
      return true;
    case kProtoIcmp:
    case kProtoIcmpv6:
      return ReadQuotedIcmp(ip_proto, transport, endpoints);
  }
  return true;
}

// The quote is judged by the parser's rules for IP headers, but for its length, which is that of the packet before it
// was cut.
bool ReadQuote(std::span<const uint8_t> quote, uint8_t version, Endpoints* endpoints, uint8_t* ip_proto) {
  Record inner = {};
  inner.length = static_cast<uint32_t>(quote.size());
  inner.wire_length = UINT32_MAX;
  inner.link = abi::kLinkRaw;
  Extent data = {};
  const bool sound = version == 4 ? ParseIpv4(quote.data(), 0, inner, data) : ParseIpv6(quote.data(), 0, inner, data);
  if (!sound || inner.fragment_offset > 0) return false;
  const uint8_t* ip = quote.data();
  std::memcpy(endpoints->source, ip + (version == 4 ? 12 : 8), version == 4 ? 4 : 16);
  std::memcpy(endpoints->destination, ip + (version == 4 ? 16 : 24), version == 4 ? 4 : 16);
  *ip_proto = inner.ip_proto;
  return ReadQuotedPorts(inner.ip_proto, quote.subspan(data.start, data.present()), endpoints);
}

}  // namespace

bool ReadQuotedPacket(const Record& record, const uint8_t* bytes, Endpoints* endpoints, uint8_t* ip_proto,
                      uint8_t* ip_version) {
  const uint8_t own_version = record.ip_proto == kProtoIcmp ? 4 : record.ip_proto == kProtoIcmpv6 ? 6 : 0;
  if (own_version == 0 || record.ip_version != own_version || record.payload_offset == abi::kOffsetNone ||
      record.l4_offset == abi::kOffsetNone) {
    return false;
  }
  const uint8_t* icmp = bytes + record.l4_offset;
  const ErrorForm form = FormOf(record.ip_proto, icmp[0]);
  if (!form.error) return false;
  uint32_t length = record.payload_length;
  const uint32_t stated = form.length_offset == 0 ? 0 : icmp[form.length_offset] * form.length_unit;
  if (stated > 0) length = std::min(length, stated);
  *endpoints = {};
  *ip_version = own_version;
  return ReadQuote({bytes + record.payload_offset, length}, own_version, endpoints, ip_proto);
}

}  // namespace sluice
