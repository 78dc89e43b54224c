// Packets of a batch that no decision covers: their records as the classifier is to see them, and what it is to know.
import {
  batch,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  Packet,
} from "../sdk";
import {
  OFFSET_NONE,
  RECORD_BYTES,
  RECORD_DESTINATION_PORT,
  RECORD_FRAME,
  RECORD_L3_OFFSET,
  RECORD_SOURCE_PORT,
} from "../sdk/abi";
import { FRAME_CONTEXT, matchBatch, MATCHES } from "../sdk/classifier/lookup";

const RECORDS = memory.data(16384, 64);
/** IP headers with source and destination swapped, 40 bytes each. */
const HEADERS = memory.data(10240, 64);
const INPUTS = memory.data(512, 64);
/** u8 each: the place in the batch. */
const PLACES = memory.data(256);

export let count: u32 = 0;

export function clear(): void {
  count = 0;
}

/** `isReply`: rules speak of the flow's first sender as the source, so that is what they see. */
export function add(packet: Packet, place: u32, isReply: bool, from: u32, to: u32, state: u32, minute: u32): void {
  const record = RECORDS + <usize>count * RECORD_BYTES;
  const original = changetype<usize>(packet);
  for (let i: usize = 0; i < <usize>RECORD_BYTES; i += 8) store<u64>(record + i, load<u64>(original + i));
  if (isReply && packet.l3Offset != OFFSET_NONE) reverse(packet, record);
  store<u16>(INPUTS + ((<usize>count) << 1), <u16>count);
  store<u8>(PLACES + <usize>count, <u8>place);
  const context = contextAt(count);
  store<u16>(context, <u16>from);
  store<u16>(context, <u16>to, 2);
  store<u16>(context, <u16>state, 4);
  store<u16>(context, <u16>minute, 6);
  store<u16>(context, 0, 8);
  count++;
}

function reverse(packet: Packet, record: usize): void {
  const header = HEADERS + <usize>count * 40;
  const original = packet.l3;
  if (packet.ipVersion == 4) {
    store<u64>(header, rotl<u64>(load<u64>(original, 12), 32), 12);
  } else {
    store<u64>(header, load<u64>(original));
    for (let i: usize = 0; i < 16; i += 8) {
      store<u64>(header + i, load<u64>(original + i, 24), 8);
      store<u64>(header + i, load<u64>(original + i, 8), 24);
    }
  }
  store<u32>(record, <u32>header, RECORD_FRAME);
  store<u16>(record, 0, RECORD_L3_OFFSET);
  if (packet.ipProto == IP_PROTO_ICMP || packet.ipProto == IP_PROTO_ICMPV6) return reverseEcho(packet, record);
  store<u16>(record, <u16>packet.destinationPort, RECORD_SOURCE_PORT);
  store<u16>(record, <u16>packet.sourcePort, RECORD_DESTINATION_PORT);
}

/** What an echo reply answers. */
function reverseEcho(packet: Packet, record: usize): void {
  if (packet.l4Offset == OFFSET_NONE) return;
  const isVersion6 = packet.ipProto == IP_PROTO_ICMPV6;
  if (packet.sourcePort >> 8 != <u32>(isVersion6 ? ICMPV6_ECHO_REPLY : ICMP_ECHO_REPLY)) return;
  store<u16>(record, (isVersion6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO_REQUEST) << 8, RECORD_SOURCE_PORT);
}

export function classify(): void {
  matchBatch(RECORDS, INPUTS, count);
}

/** The next rule that matches after so many that only count. For one packet after the other: those before are done with. */
export function matchAfter(index: u32, passed: u32): u32 {
  const first = contextAt(0);
  const context = contextAt(index);
  store<u64>(first, load<u64>(context));
  store<u16>(first, <u16>passed, 8);
  matchBatch(RECORDS, INPUTS + ((<usize>index) << 1), 1);
  return load<u32>(MATCHES);
}

@inline
function contextAt(index: u32): usize {
  return FRAME_CONTEXT + ((<usize>index) << 4);
}

@inline
export function packetAt(index: u32): Packet {
  return batch.packet(load<u8>(PLACES + <usize>index));
}

@inline
export function matchAt(index: u32): u32 {
  return load<u32>(MATCHES + ((<usize>index) << 2));
}

@inline
export function fromAt(index: u32): u32 {
  return load<u16>(contextAt(index));
}

@inline
export function toAt(index: u32): u32 {
  return load<u16>(contextAt(index), 2);
}

@inline
export function stateAt(index: u32): u32 {
  return load<u16>(contextAt(index), 4);
}
