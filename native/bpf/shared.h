/* The contract between steer.bpf.c and steering.cc: names of maps, their keys and the order of counters. Plain C. */
#ifndef SLUICE_BPF_SHARED_H
#define SLUICE_BPF_SHARED_H

#include <linux/types.h>

/* Queues of one device that can have a socket, and classes that one device can leave to the kernel. */
#define STEER_QUEUES 1024
#define STEER_CLASSES 64
#define STEER_MAC_BYTES 6
/* Addresses of the machine; what is beyond is not looked for among its connections. */
#define STEER_ADDRESSES 1024
#define STEER_ADDRESS_BYTES 16

enum steer_class_kind {
	STEER_ETHER_TYPE,	/* value: the ethertype after all VLAN tags */
	STEER_IP_PROTO,		/* ip_proto; value: 0 */
	STEER_DESTINATION_PORT,	/* ip_proto and value: the destination port */
};

/* A class of traffic that the port leaves to the kernel; the key of the hash map `kernel_classes`. Host byte order. */
struct steer_class {
	__u8 kind;
	__u8 ip_proto;
	__u16 value;
};

/* Key of the hash map `own_addresses`: network order, IPv4 in the first 4 bytes, the rest 0. */
struct steer_address {
	__u8 bytes[STEER_ADDRESS_BYTES];
};

/* Constant once loaded: lets the verifier remove the lookups that no class needs. */
struct steer_config {
	__u8 by_ether_type;
	__u8 by_ip_proto;
	__u8 by_destination_port;
	__u8 drops_unclaimed;	/* on queues that `closed_queues` has */
	__u8 is_routed;		/* only what is to be forwarded, and what only functions know the destination of */
	__u8 mac[STEER_MAC_BYTES];	/* the device's */
	__u8 mark[STEER_MAC_BYTES];	/* source of frames that the engine gave back to the kernel */
};

/* Indices into the per-CPU array `frames`. */
enum steer_counter {
	STEER_REDIRECTED,	/* to the queue's socket */
	STEER_LEFT,		/* to the kernel: of a class that the port leaves to it, or of its own connections */
	STEER_UNCLAIMED,	/* to the kernel: the queue has no socket */
	STEER_DROPPED,		/* nowhere: the queue has no socket, and is closed then */
	STEER_COUNTERS,
};

#endif
