// Identifications of fragments that leave by an address which several hosts share: each packet gets one of its own, the
// same for all its pieces (RFC 7857, section 10; RFC 6864, section 5.3.1).
import { batch, difference16, Ipv4, Ipv6, mend, OFFSET_NONE, Packet } from "../sdk";
import { fragmentHeader, identificationOf, walkExtensions } from "./extensions";
import { bucketOf, header, NUMBER_BYTES, NUMBERS, numbers } from "./store";

/** What is longer under way is another packet. */
const LIFE_MS: u32 = 30_000;
const NS_PER_MS: u64 = 1_000_000;

@unmanaged
@final
class Renumbered {
  session: u32;
  before: u32;
  after: u32;
  /** Milliseconds of the batch clock, modulo 2^32. */
  time: u32;
}

/** Two neighbours are looked at, and the older one is given up for a new packet. */
function placeOf(session: u32, before: u32, now: u32): Renumbered {
  const hash = (<u32>bucketOf(0, session, before)) >> 2;
  const first = changetype<Renumbered>(numbers + <usize>(hash & (NUMBERS - 1) & ~1) * NUMBER_BYTES);
  const second = changetype<Renumbered>(changetype<usize>(first) + NUMBER_BYTES);
  if (isOf(first, session, before, now)) return first;
  if (isOf(second, session, before, now)) return second;
  const entry = now - first.time > now - second.time || first.session == 0 ? first : second;
  header.identification++;
  entry.session = session;
  entry.before = before;
  entry.after = header.identification;
  entry.time = now;
  return entry;
}

@inline
function isOf(entry: Renumbered, session: u32, before: u32, now: u32): bool {
  return entry.session == session && entry.before == before && now - entry.time < LIFE_MS;
}

/** `session` is any number that is the flow's alone. */
export function renumber(ip: Ipv4, session: u32): void {
  const before = ip.identification;
  const entry = placeOf(session, before, <u32>(batch.time / NS_PER_MS));
  const after = entry.after & 0xffff;
  ip.checksum = mend(ip.checksum, difference16(before, after));
  ip.identification = after;
}

/** The same for IPv6, whose identification has 32 bits. */
export function renumber6(ip: Ipv6, packet: Packet, session: u32): void {
  const upper = packet.l4Offset != OFFSET_NONE ? packet.l4Offset : packet.payloadOffset;
  if (upper == OFFSET_NONE || !walkExtensions(ip, upper - packet.l3Offset) || fragmentHeader == 0) return;
  const entry = placeOf(session, identificationOf(fragmentHeader), <u32>(batch.time / NS_PER_MS));
  store<u32>(fragmentHeader, bswap<u32>(entry.after), 4);
}
