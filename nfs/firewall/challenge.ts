// Who opens connections during a flood has to prove that its address is its own, with a cookie instead of memory.
//
// A SYN is answered with a SYN/ACK whose acknowledgement is not the one that the client waits for, but the cookie. A
// client that is there resets it (RFC 9293, section 3.10.7.3: a RST whose sequence number is that acknowledgement),
// keeps waiting, and sends its SYN again, which passes now: there is nothing to translate later.
import { batch, Packet, reply, seed, TCP_ACK, TCP_RST, TCP_SYN } from "../sdk";

const SLOT_SHIFT: u64 = 36; // some 69 s

export function challengeSource(packet: Packet, high: u64, low: u64): bool {
  return reply.tcp(packet, TCP_SYN | TCP_ACK, 0, cookie(packet, high, low, batch.time >> SLOT_SHIFT));
}

/** The packet is the RST that answers a challenge of this minute or the one before. */
export function answersChallenge(packet: Packet, high: u64, low: u64): bool {
  const tcp = packet.tcp;
  if (tcp === null || (tcp.flags & (TCP_RST | TCP_ACK | TCP_SYN)) != TCP_RST) return false;
  const slot = batch.time >> SLOT_SHIFT;
  const sequence = tcp.sequence;
  return sequence == cookie(packet, high, low, slot) || sequence == cookie(packet, high, low, slot - 1);
}

function cookie(packet: Packet, high: u64, low: u64, slot: u64): u32 {
  let h = mix(seed ^ high) ^ low;
  h = mix(h) ^ (((<u64>packet.sourcePort) << 16) | packet.destinationPort);
  return <u32>(mix(mix(h) ^ slot ^ (seed << 1)) >> 32);
}

function mix(value: u64): u64 {
  let h = value * 0x9e3779b97f4a7c15;
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93;
  return h ^ (h >> 29);
}
