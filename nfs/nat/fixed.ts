// IPv6 addresses that the configuration names. While it is read they have numbers of their own, from 1 on; with the first
// packet the rules get those that the segment gives them. Whichever instance has the segment, only its rules hold any.
import { hold6, release } from "./addresses";
import { FIXED, fixedAddresses, header } from "./store";

const highs: u64[] = [];
const lows: u64[] = [];
/** What the segment calls them. */
const words = new StaticArray<u32>(FIXED);
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

/** Whether another instance has had the segment since: two may take turns, a canary and what it is to follow. */
@inline
export function isUnsettled(): bool {
  return isNeeded && (instance == 0 || header.instance != instance);
}

/** Holds all addresses of this instance's rules, and no longer those of another's. Whether any has another number now. */
export function holdFixed(): bool {
  const count = <u32>highs.length;
  let isChanged = instance == 0;
  // Before the other's are given back: those of both keep their numbers.
  for (let i: u32 = 0; i < count; i++) {
    const word = hold6(unchecked(highs[i]), unchecked(lows[i]));
    if (word != unchecked(words[i])) isChanged = true;
    unchecked((words[i] = word));
  }
  for (let i: u32 = 0; i < header.fixed; i++) release(load<u32>(placeOf(i)));
  for (let i: u32 = 0; i < count; i++) store<u32>(placeOf(i), unchecked(words[i]));
  header.fixed = count;
  header.instance++;
  instance = header.instance;
  return isChanged;
}

@inline
function placeOf(index: u32): usize {
  return fixedAddresses + ((<usize>index) << 2);
}

/** What the segment calls an address that fix6 has numbered. */
@inline
export function wordOf(number: u32): u32 {
  return unchecked(words[number - 1]);
}
