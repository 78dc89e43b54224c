/*
 * Steers each frame of a device: to the AF_XDP socket of its queue, or to the kernel if it is of a class that the
 * port leaves to it; on a port that routes also if it is no unicast IP packet for the device, or of a connection that
 * the machine itself has. What cannot be parsed is of no class. Frames of a queue without a socket go to the kernel; those
 * of a queue that is closed then, since its socket's process died, nowhere.
 *
 * Frames in several buffers (jumbo) are not supported: without xdp.frags, drivers refuse the program on such MTUs.
 * A VLAN tag that the hardware took out of the frame cannot be seen here; see `sluice doctor`.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "shared.h"

#define VLAN_TAGS_MAX 2
#define EXTENSIONS_MAX 6
#define FRAGMENT_OFFSET_MASK 0x1fff	/* RFC 791, 3.1 */
#define FRAGMENT6_OFFSET_MASK 0xfff8	/* RFC 8200, 4.5 */

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} socket_by_queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_CLASSES);
	__type(key, struct steer_class);
	__type(value, __u8);
} kernel_classes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u8);
} closed_queues SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEER_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} frames SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_ADDRESSES);
	__type(key, struct steer_address);
	__type(value, __u8);
} own_addresses SEC(".maps");

const volatile struct steer_config config;

/* The bytes from the next header to the frame's end. */
struct cursor {
	void *next;
	void *end;
	int is_later_fragment;	/* no transport header follows */
};

struct vlan_tag {
	__be16 tci;
	__be16 ether_type;
};

struct extension {
	__u8 next_header;
	__u8 length;
	__be16 fragment_offset;	/* in a fragment header only */
};

struct ports {
	__be16 source;
	__be16 destination;
};

/* Returns the ethertype after at most VLAN_TAGS_MAX tags, or -1. */
static __always_inline int parse_ethernet(struct cursor *at)
{
	struct ethhdr *ethernet = at->next;
	__be16 ether_type;

	if ((void *)(ethernet + 1) > at->end)
		return -1;
	ether_type = ethernet->h_proto;
	at->next = ethernet + 1;

#pragma unroll
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		struct vlan_tag *tag = at->next;

		if (ether_type != bpf_htons(ETH_P_8021Q) && ether_type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > at->end)
			return -1;
		ether_type = tag->ether_type;
		at->next = tag + 1;
	}
	return bpf_ntohs(ether_type);
}

/* Returns the IP protocol, or -1. */
static __always_inline int parse_ipv4(struct cursor *at)
{
	struct iphdr *ip = at->next;
	__u32 length;

	if ((void *)(ip + 1) > at->end)
		return -1;
	length = ip->ihl * 4;
	if (length < sizeof(*ip))
		return -1;
	at->is_later_fragment = (ip->frag_off & bpf_htons(FRAGMENT_OFFSET_MASK)) != 0;
	at->next = (void *)ip + length;
	return ip->protocol;
}

/* Returns the IP protocol after at most EXTENSIONS_MAX extension headers, or -1. */
static __always_inline int parse_ipv6(struct cursor *at)
{
	struct ipv6hdr *ip = at->next;
	__u8 next_header;

	if ((void *)(ip + 1) > at->end)
		return -1;
	next_header = ip->nexthdr;
	at->next = ip + 1;

#pragma unroll
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		struct extension *extension = at->next;

		if (next_header != IPPROTO_HOPOPTS && next_header != IPPROTO_ROUTING &&
		    next_header != IPPROTO_DSTOPTS && next_header != IPPROTO_FRAGMENT && next_header != IPPROTO_AH)
			return next_header;
		if ((void *)(extension + 1) > at->end)
			return -1;
		if (next_header == IPPROTO_FRAGMENT) {
			at->next += 8;
			if (extension->fragment_offset & bpf_htons(FRAGMENT6_OFFSET_MASK)) {
				at->is_later_fragment = 1;
				return extension->next_header;
			}
		} else if (next_header == IPPROTO_AH) {
			at->next += (extension->length + 2) * 4;
		} else {
			at->next += (extension->length + 1) * 8;
		}
		next_header = extension->next_header;
	}
	return -1;
}

/* Returns the destination port, or -1. */
static __always_inline int parse_ports(struct cursor *at)
{
	struct ports *ports = at->next;

	if (at->is_later_fragment || (void *)(ports + 1) > at->end)
		return -1;
	return bpf_ntohs(ports->destination);
}

static __always_inline int is_kernel_class(__u8 kind, __u8 ip_proto, __u16 value)
{
	struct steer_class class = { .kind = kind, .ip_proto = ip_proto, .value = value };

	return bpf_map_lookup_elem(&kernel_classes, &class) != NULL;
}

static __always_inline int is_left_to_kernel(struct cursor *at)
{
	int ether_type, ip_proto, port;

	if (!config.by_ether_type && !config.by_ip_proto && !config.by_destination_port)
		return 0;
	ether_type = parse_ethernet(at);
	if (ether_type < 0)
		return 0;
	if (config.by_ether_type && is_kernel_class(STEER_ETHER_TYPE, 0, ether_type))
		return 1;

	if (!config.by_ip_proto && !config.by_destination_port)
		return 0;
	if (ether_type == ETH_P_IP)
		ip_proto = parse_ipv4(at);
	else if (ether_type == ETH_P_IPV6)
		ip_proto = parse_ipv6(at);
	else
		return 0;
	if (ip_proto < 0)
		return 0;
	if (config.by_ip_proto && is_kernel_class(STEER_IP_PROTO, ip_proto, 0))
		return 1;

	if (!config.by_destination_port)
		return 0;
	port = parse_ports(at);
	return port >= 0 && is_kernel_class(STEER_DESTINATION_PORT, ip_proto, port);
}

static __always_inline int is_same_address(const __u8 *a, const volatile __u8 *b)
{
	__u8 differs = 0;

#pragma unroll
	for (int i = 0; i < STEER_MAC_BYTES; i++)
		differs |= a[i] ^ b[i];
	return !differs;
}

static __always_inline int is_icmpv6_neighbour_discovery(struct ipv6hdr *ip, void *end)
{
	__u8 *type = (void *)(ip + 1);

	if (ip->nexthdr != IPPROTO_ICMPV6 || (void *)(type + 1) > end)
		return 0;
	return *type >= 133 && *type <= 137;	/* RFC 4861, 4 */
}

/* Groups, this link's own addresses, and what keeps the link going. */
static __always_inline int is_ipv6_for_kernel(struct ipv6hdr *ip, void *end)
{
	const __u8 *destination, *source;

	if ((void *)(ip + 1) > end)
		return 1;
	destination = ip->daddr.in6_u.u6_addr8;
	source = ip->saddr.in6_u.u6_addr8;
	if (destination[0] == 0xff || (destination[0] == 0xfe && (destination[1] & 0xc0) == 0x80))
		return 1;
	if (source[0] == 0xfe && (source[1] & 0xc0) == 0x80)
		return 1;
	return is_icmpv6_neighbour_discovery(ip, end);
}

/* On a port that routes: what is not unicast IP for this device. */
static __always_inline int is_link_traffic(struct cursor at)
{
	struct ethhdr *ethernet = at.next;
	struct iphdr *ip = (void *)(ethernet + 1);

	if ((void *)ip > at.end || !is_same_address(ethernet->h_dest, config.mac))
		return 1;
	if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		return is_ipv6_for_kernel((void *)ip, at.end);
	if (ethernet->h_proto != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > at.end)
		return 1;
	return (bpf_ntohl(ip->daddr) >> 28) >= 0xe;	/* groups, and the limited broadcast address */
}

#define SOCKET_CONNECTED 1	/* TCP_ESTABLISHED, of UDP sockets too */
#define SOCKET_LISTENS 10	/* TCP_LISTEN */

/* The socket's state, or -1 without one. `tuple` is in network order, the sender first. */
static __always_inline int find_socket(struct xdp_md *frame, struct bpf_sock_tuple *tuple, __u32 size, int ip_proto)
{
	struct bpf_sock *socket;
	int state;

	if (ip_proto == IPPROTO_TCP)
		socket = bpf_skc_lookup_tcp(frame, tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		socket = bpf_sk_lookup_udp(frame, tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return -1;
	state = socket->state;
	bpf_sk_release(socket);
	return state;
}

/*
 * On a port that routes: a packet of a connection that the machine itself has. It may have begun without the chain, and
 * others of its packets are never seen there. Who may begin one is the chain's to say: listening sockets do not count.
 */
static __always_inline int is_own_connection(struct xdp_md *frame, struct cursor at)
{
	struct steer_address address = {};
	struct bpf_sock_tuple tuple = {};
	int ether_type = parse_ethernet(&at), ip_proto, state;
	__u32 size;
	void *ip = at.next;
	struct ports *ports;

	if (ether_type == ETH_P_IP && ip + sizeof(struct iphdr) <= at.end) {
		__builtin_memcpy(address.bytes, ip + 16, 4);
		__builtin_memcpy(&tuple.ipv4.saddr, ip + 12, 8);
		size = sizeof(tuple.ipv4);
	} else if (ether_type == ETH_P_IPV6 && ip + sizeof(struct ipv6hdr) <= at.end) {
		__builtin_memcpy(address.bytes, ip + 24, 16);
		__builtin_memcpy(tuple.ipv6.saddr, ip + 8, 32);
		size = sizeof(tuple.ipv6);
	} else {
		return 0;
	}
	if (!bpf_map_lookup_elem(&own_addresses, &address))
		return 0;
	ip_proto = ether_type == ETH_P_IP ? parse_ipv4(&at) : parse_ipv6(&at);
	ports = at.next;
	if ((ip_proto != IPPROTO_TCP && ip_proto != IPPROTO_UDP) || at.is_later_fragment ||
	    (void *)(ports + 1) > at.end)
		return 0;
	if (ether_type == ETH_P_IP) {
		tuple.ipv4.sport = ports->source;
		tuple.ipv4.dport = ports->destination;
	} else {
		tuple.ipv6.sport = ports->source;
		tuple.ipv6.dport = ports->destination;
	}
	state = find_socket(frame, &tuple, size, ip_proto);
	return ip_proto == IPPROTO_TCP ? state >= 0 && state != SOCKET_LISTENS : state == SOCKET_CONNECTED;
}

static __always_inline int is_given_back(struct cursor at)
{
	struct ethhdr *ethernet = at.next;

	return (void *)(ethernet + 1) <= at.end && is_same_address(ethernet->h_source, config.mark);
}

/* What becomes of a frame whose queue has no socket. */
static __always_inline int action_without_socket(__u32 queue)
{
	__u8 *closed;

	if (!config.drops_unclaimed)
		return XDP_PASS;
	closed = bpf_map_lookup_elem(&closed_queues, &queue);
	return closed && *closed ? XDP_DROP : XDP_PASS;
}

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&frames, &counter);

	if (value)
		(*value)++;
}

SEC("xdp")
int steer(struct xdp_md *frame)
{
	struct cursor at = { .next = (void *)(long)frame->data, .end = (void *)(long)frame->data_end };
	int action;

	if (is_given_back(at))
		return XDP_PASS;
	if ((config.is_routed && (is_link_traffic(at) || is_own_connection(frame, at))) || is_left_to_kernel(&at)) {
		count(STEER_LEFT);
		return XDP_PASS;
	}
	action = bpf_redirect_map(&socket_by_queue, frame->rx_queue_index,
				  action_without_socket(frame->rx_queue_index));
	count(action == XDP_REDIRECT ? STEER_REDIRECTED : action == XDP_DROP ? STEER_DROPPED : STEER_UNCLAIMED);
	return action;
}

/* Nothing here calls a helper that is for GPL programs only. */
char LICENSE[] SEC("license") = "Apache-2.0";
