// Addresses as all of the store has them, one word each: an IPv4 address is itself, an IPv6 address the number of an entry
// that holds it. No IPv4 address that is translated begins with the octet 0 (RFC 1122, section 3.2.1.3), and no number
// has another one there: a word says by itself what it is, and mappings, sessions, ports and blocks need not know.
//
// Who keeps such a word holds the address, and releases it in the end.
import { Address, addressBuckets, addresses, base, bucketOf, unlink } from "./store";

const NUMBERS_BITS: u32 = 24;
const BYTES: u32 = addresses.bytes;
const first: usize = addresses.first;

/** Of a word that is not 0. */
@inline
export function isIpv6(word: u32): bool {
  return word >> NUMBERS_BITS == 0;
}

@inline
export function addressAt(word: u32): Address {
  return changetype<Address>(first + (word - 1) * BYTES);
}

/** The address's number, which the caller holds from now on; 0 if there is no room. */
export function hold6(high: u64, low: u64): u32 {
  const bucket = bucketOf(addressBuckets, high, low);
  let reference = load<u32>(bucket);
  while (reference != 0) {
    const entry = changetype<Address>(base + reference);
    if (entry.high == high && entry.low == low) break;
    reference = entry.next;
  }
  if (reference == 0) reference = add(bucket, high, low);
  if (reference == 0) return 0;
  changetype<Address>(base + reference).holders++;
  return (reference - <u32>(first - base)) / BYTES + 1;
}

function add(bucket: usize, high: u64, low: u64): u32 {
  const reference = addresses.take();
  if (reference == 0) return 0;
  const entry = changetype<Address>(base + reference);
  entry.high = high;
  entry.low = low;
  entry.next = load<u32>(bucket);
  store<u32>(bucket, reference);
  return reference;
}

/** Another holder of an address that somebody holds. */
@inline
export function hold(word: u32): u32 {
  if (isIpv6(word) && word != 0) addressAt(word).holders++;
  return word;
}

@inline
export function release(word: u32): void {
  if (isIpv6(word) && word != 0) releaseNumber(word);
}

function releaseNumber(word: u32): void {
  const entry = addressAt(word);
  entry.holders--;
  if (entry.holders > 0) return;
  const reference = <u32>(changetype<usize>(entry) - base);
  unlink(bucketOf(addressBuckets, entry.high, entry.low), reference, offsetof<Address>("next"));
  addresses.give(reference);
}

// ---- for as long as one packet is looked at ----

const KEPT = 16;
const kept = new StaticArray<u32>(KEPT);
let keptCount = 0;

/** The address's number, held until letGo; 0 if there is no room. */
export function keep6(high: u64, low: u64): u32 {
  if (keptCount == KEPT) return 0;
  const word = hold6(high, low);
  if (word != 0) unchecked((kept[keptCount++] = word));
  return word;
}

export function letGo(): void {
  while (keptCount > 0) releaseNumber(unchecked(kept[--keptCount]));
}
