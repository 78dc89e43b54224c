// Bytes moved and compared with plain loads and stores. AssemblyScript's memory.copy and memory.fill are not used on
// packets: they may compile to calls, and as bulk-memory instructions they are forbidden (ABI.md, section 8).

/** 48 bits in network order, as a number: a MAC address. */
@inline
export function loadU48(address: usize): u64 {
  return ((<u64>bswap<u32>(load<u32>(address))) << 16) | bswap<u16>(load<u16>(address, 4));
}

@inline
export function storeU48(address: usize, value: u64): void {
  store<u32>(address, bswap<u32>(<u32>(value >> 16)));
  store<u16>(address, bswap<u16>(<u16>value), 4);
}

/** Copies to a lower address; the ranges may overlap. */
export function copyDown(to: usize, from: usize, bytes: u32): void {
  let done: u32 = 0;
  if (from - to >= 8) {
    for (; done + 8 <= bytes; done += 8) store<u64>(to + done, load<u64>(from + done));
  }
  for (; done < bytes; done++) store<u8>(to + done, load<u8>(from + done));
}

/** Copies to a higher address; the ranges may overlap. */
export function copyUp(to: usize, from: usize, bytes: u32): void {
  let left = bytes;
  if (to - from >= 8) {
    for (; left >= 8; left -= 8) store<u64>(to + left - 8, load<u64>(from + left - 8));
  }
  for (; left > 0; left--) store<u8>(to + left - 1, load<u8>(from + left - 1));
}

export function fill(address: usize, value: u8, bytes: u32): void {
  for (let i: u32 = 0; i < bytes; i++) store<u8>(address + i, value);
}

export function equal(left: usize, right: usize, bytes: u32): bool {
  for (let i: u32 = 0; i < bytes; i++) {
    if (load<u8>(left + i) != load<u8>(right + i)) return false;
  }
  return true;
}
