// What the host knows of a frame: the record, parsed once for all functions of the chain. Read-only.
// All values are in host byte order; offsets count from `frame`.

import {
  RECORD_DESTINATION_PORT,
  RECORD_DIRECTION,
  RECORD_ETHER_TYPE,
  RECORD_EVENTS,
  RECORD_FLAGS,
  RECORD_FLAG_BROADCAST,
  RECORD_FLAG_CUT,
  RECORD_FLAG_DONT_FRAGMENT,
  RECORD_FLAG_FRAGMENT,
  RECORD_FLAG_MORE_FRAGMENTS,
  RECORD_FLAG_MULTICAST,
  RECORD_FLAG_OPTIONS,
  RECORD_FLOW,
  RECORD_FRAGMENT_OFFSET,
  RECORD_FRAME,
  RECORD_HASH,
  RECORD_INNER_TCI,
  RECORD_IP_PROTO,
  RECORD_IP_VERSION,
  RECORD_L3_OFFSET,
  RECORD_L4_OFFSET,
  RECORD_LABELS,
  RECORD_LENGTH,
  RECORD_LINK,
  RECORD_MALFORMED,
  RECORD_OUTER_TCI,
  RECORD_PAYLOAD_LENGTH,
  RECORD_PAYLOAD_OFFSET,
  RECORD_PORT,
  RECORD_SOURCE_PORT,
  RECORD_TCP_FLAGS,
  RECORD_TRAFFIC_CLASS,
  RECORD_TUNNEL,
  RECORD_VLAN_COUNT,
  RECORD_WIRE_LENGTH,
} from "./abi";
import { Flow } from "./flow";

@unmanaged
export class Record {
  /** Address of the frame's first byte as it entered this function; push and pull do not move it. */
  @inline
  get frame(): usize {
    return load<u32>(changetype<usize>(this), RECORD_FRAME);
  }

  /** Bytes of the frame that are present. */
  @inline
  get length(): u32 {
    return load<u32>(changetype<usize>(this), RECORD_LENGTH);
  }

  /** Bytes that it had on the wire; more than `length` if a capture cut it. */
  @inline
  get wireLength(): u32 {
    return load<u32>(changetype<usize>(this), RECORD_WIRE_LENGTH);
  }

  /** From the frame's start to the IPv4, IPv6 or ARP header; OFFSET_NONE if there is none. */
  @inline
  get l3Offset(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_L3_OFFSET);
  }

  /** From the frame's start to the transport header; OFFSET_NONE if none is present. */
  @inline
  get l4Offset(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_L4_OFFSET);
  }

  /** From the frame's start to the transport payload; OFFSET_NONE if none is present. */
  @inline
  get payloadOffset(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_PAYLOAD_OFFSET);
  }

  /** Bytes of transport payload present, without Ethernet padding. */
  @inline
  get payloadLength(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_PAYLOAD_LENGTH);
  }

  /** After all VLAN tags; a value below 0x0600 is an IEEE 802.3 length. */
  @inline
  get etherType(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_ETHER_TYPE);
  }

  /** After all IPv6 extension headers. */
  @inline
  get ipProto(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_IP_PROTO);
  }

  /** 4, 6 or 0. */
  @inline
  get ipVersion(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_IP_VERSION);
  }

  /** RECORD_FLAG_* bits. */
  @inline
  get flags(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_FLAGS);
  }

  /** MALFORMED_*, 0 for a sound frame. */
  @inline
  get malformed(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_MALFORMED);
  }

  /** VLAN tags seen; the first two are described by outerTci and innerTci. */
  @inline
  get vlanCount(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_VLAN_COUNT);
  }

  /** Priority, DEI and VLAN id of the outermost tag. */
  @inline
  get outerTci(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_OUTER_TCI);
  }

  /** The same of the second tag. */
  @inline
  get innerTci(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_INNER_TCI);
  }

  /** TCP, UDP, SCTP; type << 8 | code for ICMP and ICMPv6. */
  @inline
  get sourcePort(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_SOURCE_PORT);
  }

  /** TCP, UDP, SCTP; the identifier of ICMP echoes. */
  @inline
  get destinationPort(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_DESTINATION_PORT);
  }

  /** CWR ECE URG ACK PSH RST SYN FIN: TCP_* bits. */
  @inline
  get tcpFlags(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_TCP_FLAGS);
  }

  /** IPv4 type of service or IPv6 traffic class: DSCP << 2 | ECN. */
  @inline
  get trafficClass(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_TRAFFIC_CLASS);
  }

  /** The port where the frame entered the chain. */
  @inline
  get port(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_PORT);
  }

  /** 0 from the flow's first sender, 1 the other way. */
  @inline
  get direction(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_DIRECTION);
  }

  /** LINK_*. */
  @inline
  get link(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_LINK);
  }

  /** TUNNEL_*: what the transport payload carries. */
  @inline
  get tunnel(): u32 {
    return load<u8>(changetype<usize>(this), RECORD_TUNNEL);
  }

  /** Bytes from the start of the whole to this fragment. */
  @inline
  get fragmentOffset(): u32 {
    return load<u16>(changetype<usize>(this), RECORD_FRAGMENT_OFFSET);
  }

  /** Symmetric over both directions; the same in every lane and run. */
  @inline
  get hash(): u32 {
    return load<u32>(changetype<usize>(this), RECORD_HASH);
  }

  /** The flow that it belongs to, or null. */
  @inline
  get flow(): Flow | null {
    return changetype<Flow | null>(<usize>load<u32>(changetype<usize>(this), RECORD_FLOW));
  }

  /** What happened to the flow with this packet: EVENT_* bits. */
  @inline
  get events(): u32 {
    return load<u32>(changetype<usize>(this), RECORD_EVENTS);
  }

  /** One of these events happened with this packet: `packet.has(EVENT_START)`. */
  @inline
  has(events: u32): bool {
    return (this.events & events) != 0;
  }

  /** Label bits of the flow. */
  @inline
  get labels(): u32 {
    return load<u32>(changetype<usize>(this), RECORD_LABELS);
  }

  /** Part of a larger IP packet; `l4Offset` is present only in the first. */
  @inline
  get isFragment(): bool {
    return (this.flags & RECORD_FLAG_FRAGMENT) != 0;
  }

  @inline
  get hasMoreFragments(): bool {
    return (this.flags & RECORD_FLAG_MORE_FRAGMENTS) != 0;
  }

  @inline
  get dontFragment(): bool {
    return (this.flags & RECORD_FLAG_DONT_FRAGMENT) != 0;
  }

  /** IPv4 options or IPv6 extension headers stand between L3 and L4. */
  @inline
  get hasOptions(): bool {
    return (this.flags & RECORD_FLAG_OPTIONS) != 0;
  }

  /** The capture cut the frame: `length < wireLength`. */
  @inline
  get isCut(): bool {
    return (this.flags & RECORD_FLAG_CUT) != 0;
  }

  @inline
  get isMulticast(): bool {
    return (this.flags & RECORD_FLAG_MULTICAST) != 0;
  }

  @inline
  get isBroadcast(): bool {
    return (this.flags & RECORD_FLAG_BROADCAST) != 0;
  }

  /** DSCP, RFC 2474. */
  @inline
  get dscp(): u32 {
    return this.trafficClass >> 2;
  }

  /** ECN, RFC 3168. */
  @inline
  get ecn(): u32 {
    return this.trafficClass & 3;
  }

  /** The outermost tag's VLAN id, 0 … 4095; -1 for an untagged frame. */
  @inline
  get vlanId(): i32 {
    return this.vlanCount == 0 ? -1 : this.outerTci & 0xfff;
  }
}
