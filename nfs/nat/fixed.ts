// IPv6 addresses that the configuration names. While it is read they have numbers of their own, from 1 on; with the first
// packet the rules get those that the segment gives them. Whichever instance has the segment, only its rules hold any.
import { hold6, release } from "./addresses";
import { FIXED, fixedAddresses, header } from "./store";

const highs: u64[] = [];
const lows: u64[] = [];
let isNeeded = false;
let instance: u32 = 0;

/** While configuring: the address's number until the rules are settled; 0 if there are too many. */
export function fix6(high: u64, low: u64): u32 {
  for (let i = 0; i < highs.length; i++) {
    if (highs[i] == high && lows[i] == low) return i + 1;
  }
  if (highs.length == <i32>FIXED) return 0;
  needNumbers();
  highs.push(high);
  lows.push(low);
  return highs.length;
}

/** While configuring: rules name IPv6 addresses, those of ports if no others. */
export function needNumbers(): void {
  isNeeded = true;
}

/** Whether another instance has had the segment since: then the rules are to be settled. */
@inline
export function isUnsettled(): bool {
  return isNeeded && (instance == 0 || header.instance != instance);
}

/** Holds all addresses of this instance's rules, and no longer those of another's. */
export function holdFixed(): void {
  const before = header.fixed;
  const count = <u32>highs.length;
  for (let i: u32 = 0; i < before; i++) release(wordAt(i));
  header.fixed = 0;
  for (let i: u32 = 0; i < count; i++) store<u32>(placeOf(i), hold6(highs[i], lows[i]));
  header.fixed = count;
  header.instance++;
  instance = header.instance;
}

@inline
function placeOf(index: u32): usize {
  return fixedAddresses + ((<usize>index) << 2);
}

@inline
function wordAt(index: u32): u32 {
  return load<u32>(placeOf(index));
}

/** What the segment calls an address that fix6 has numbered. */
@inline
export function wordOf(number: u32): u32 {
  return wordAt(number - 1);
}
