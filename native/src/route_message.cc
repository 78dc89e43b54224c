#include "route_message.h"

#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

using Attributes = std::array<const nlattr*, 64>;

int KeepAttribute(const nlattr* attribute, void* data) {
  auto& attributes = *static_cast<Attributes*>(data);
  if (mnl_attr_get_type(attribute) < attributes.size()) attributes[mnl_attr_get_type(attribute)] = attribute;
  return MNL_CB_OK;
}

Attributes ReadAttributes(const nlmsghdr* message, size_t head) {
  Attributes attributes{};
  mnl_attr_parse(message, static_cast<unsigned int>(head), KeepAttribute, &attributes);
  return attributes;
}

uint32_t Number(const nlattr* attribute) {
  return attribute && mnl_attr_get_payload_len(attribute) >= 4 ? mnl_attr_get_u32(attribute) : 0;
}

void CopyBytes(const nlattr* attribute, uint8_t* to, size_t limit) {
  if (attribute == nullptr) return;
  std::memcpy(to, mnl_attr_get_payload(attribute), std::min<size_t>(limit, mnl_attr_get_payload_len(attribute)));
}

uint8_t VersionOf(uint8_t family) { return family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0; }

bool IsLinkLocal(uint8_t version, const AddressBytes& address) {
  return version == 6 && address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

void ReadGateway(const nlattr* gateway, const nlattr* via, uint8_t version, NextHop* next_hop) {
  if (gateway != nullptr) {
    next_hop->has_gateway = true;
    next_hop->gateway_version = version;
    CopyBytes(gateway, next_hop->gateway.data(), next_hop->gateway.size());
  } else if (via != nullptr && mnl_attr_get_payload_len(via) >= sizeof(rtvia)) {
    const auto* described = static_cast<const rtvia*>(mnl_attr_get_payload(via));
    next_hop->has_gateway = true;
    next_hop->gateway_version = VersionOf(static_cast<uint8_t>(described->rtvia_family));
    std::memcpy(next_hop->gateway.data(), described->rtvia_addr,
                std::min<size_t>(16, mnl_attr_get_payload_len(via) - sizeof(rtvia)));
  }
}

void ReadMultipath(const nlattr* multipath, uint8_t version, Route* route) {
  auto left = static_cast<int>(mnl_attr_get_payload_len(multipath));
  const auto* at = static_cast<const rtnexthop*>(mnl_attr_get_payload(multipath));
  for (; RTNH_OK(at, left); left -= RTNH_ALIGN(at->rtnh_len), at = RTNH_NEXT(at)) {
    if (at->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) continue;
    NextHop next_hop{.ifindex = at->rtnh_ifindex, .weight = static_cast<uint8_t>(at->rtnh_hops + 1)};
    Attributes attributes{};
    mnl_attr_parse_payload(RTNH_DATA(at), at->rtnh_len - sizeof(*at), KeepAttribute, &attributes);
    ReadGateway(attributes[RTA_GATEWAY], attributes[RTA_VIA], version, &next_hop);
    route->next_hops.push_back(next_hop);
  }
}

bool ReadKind(const rtmsg& head, RouteKind* kind) {
  switch (head.rtm_type) {
    case RTN_UNICAST:
      return *kind = RouteKind::kForward, true;
    case RTN_LOCAL:
    case RTN_BROADCAST:
    case RTN_ANYCAST:
      return *kind = RouteKind::kLocal, true;
    case RTN_BLACKHOLE:
      return *kind = RouteKind::kBlackhole, true;
    case RTN_UNREACHABLE:
      return *kind = RouteKind::kUnreachable, true;
    case RTN_PROHIBIT:
      return *kind = RouteKind::kProhibit, true;
    default:
      return false;
  }
}

uint32_t ReadMtu(const nlattr* metrics) {
  Attributes attributes{};
  if (metrics != nullptr) mnl_attr_parse_nested(metrics, KeepAttribute, &attributes);
  return Number(attributes[RTAX_MTU]);
}

}  // namespace

bool ReadRoute(const nlmsghdr* message, RouteMessage* out) {
  if (message->nlmsg_type != RTM_NEWROUTE) return false;
  const auto* head = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  const Attributes attributes = ReadAttributes(message, sizeof(*head));
  const uint32_t table = attributes[RTA_TABLE] ? Number(attributes[RTA_TABLE]) : head->rtm_table;
  const bool is_known = table == RT_TABLE_MAIN || table == RT_TABLE_LOCAL || table == RT_TABLE_DEFAULT;
  *out = {.ip_version = VersionOf(head->rtm_family)};
  if (out->ip_version == 0 || !is_known || head->rtm_tos != 0 || (head->rtm_flags & RTM_F_CLONED)) return false;
  if (!ReadKind(*head, &out->route.kind)) return false;
  CopyBytes(attributes[RTA_DST], out->destination.data(), AddressLength(out->ip_version));
  out->length = head->rtm_dst_len;
  if (out->length > 0 && IsLinkLocal(out->ip_version, out->destination)) return false;
  out->is_local_table = table == RT_TABLE_LOCAL;
  out->priority = Number(attributes[RTA_PRIORITY]);
  out->route.mtu = ReadMtu(attributes[RTA_METRICS]);
  if (out->route.kind != RouteKind::kForward) return true;
  if (attributes[RTA_MULTIPATH] != nullptr) {
    ReadMultipath(attributes[RTA_MULTIPATH], out->ip_version, &out->route);
  } else if ((head->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0) {
    NextHop next_hop{.ifindex = static_cast<int>(Number(attributes[RTA_OIF]))};
    ReadGateway(attributes[RTA_GATEWAY], attributes[RTA_VIA], out->ip_version, &next_hop);
    out->route.next_hops.push_back(next_hop);
  }
  return !out->route.next_hops.empty();
}

bool ReadLink(const nlmsghdr* message, Link* link) {
  if (message->nlmsg_type != RTM_NEWLINK) return false;
  const auto* head = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  const Attributes attributes = ReadAttributes(message, sizeof(*head));
  *link = {.ifindex = head->ifi_index, .mtu = Number(attributes[IFLA_MTU])};
  link->is_up = (head->ifi_flags & IFF_UP) && (head->ifi_flags & IFF_RUNNING);
  CopyBytes(attributes[IFLA_ADDRESS], link->mac.data(), link->mac.size());
  return true;
}

bool ReadAddress(const nlmsghdr* message, LinkAddress* address) {
  if (message->nlmsg_type != RTM_NEWADDR) return false;
  const auto* head = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(message));
  const Attributes attributes = ReadAttributes(message, sizeof(*head));
  *address = {.ifindex = static_cast<int>(head->ifa_index), .ip_version = VersionOf(head->ifa_family)};
  const nlattr* own = attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
  const uint32_t flags = attributes[IFA_FLAGS] ? Number(attributes[IFA_FLAGS]) : head->ifa_flags;
  if (address->ip_version == 0 || own == nullptr || (flags & (IFA_F_TENTATIVE | IFA_F_DEPRECATED))) return false;
  CopyBytes(own, address->address.data(), AddressLength(address->ip_version));
  return !IsLinkLocal(address->ip_version, address->address);
}

bool ReadNeighbour(const nlmsghdr* message, Neighbour* neighbour, bool* is_known) {
  if (message->nlmsg_type != RTM_NEWNEIGH && message->nlmsg_type != RTM_DELNEIGH) return false;
  const auto* head = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(message));
  const Attributes attributes = ReadAttributes(message, sizeof(*head));
  *neighbour = {.ifindex = head->ndm_ifindex, .version = VersionOf(head->ndm_family)};
  if (neighbour->version == 0 || attributes[NDA_DST] == nullptr || (head->ndm_flags & NTF_PROXY)) return false;
  CopyBytes(attributes[NDA_DST], neighbour->address.data(), AddressLength(neighbour->version));
  CopyBytes(attributes[NDA_LLADDR], neighbour->mac.data(), neighbour->mac.size());
  constexpr uint16_t kUsable = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
  *is_known = message->nlmsg_type == RTM_NEWNEIGH && (head->ndm_state & kUsable) && attributes[NDA_LLADDR] != nullptr;
  return true;
}

void WriteProbe(nlmsghdr* message, const Neighbour& neighbour) {
  message->nlmsg_type = RTM_NEWNEIGH;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
  auto* head = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ndmsg)));
  head->ndm_family = neighbour.version == 4 ? AF_INET : AF_INET6;
  head->ndm_ifindex = neighbour.ifindex;
  head->ndm_state = NUD_NONE;
  head->ndm_flags = NTF_USE;
  mnl_attr_put(message, NDA_DST, AddressLength(neighbour.version), neighbour.address.data());
}

}  // namespace sluice
