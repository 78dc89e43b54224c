// Memory that lives as long as the configuration, and items in it of which equal ones are stored once.

const CHUNK_BYTES: usize = 0x10000;
const CACHE_LINE: usize = 64;

/** Hands out zeroed memory in multiples of 8 bytes; whole cache lines are aligned to one. Nothing is given back. */
export class Arena {
  private free: usize = 0;
  private end: usize = 0;
  /** Bytes handed out. */
  used: usize = 0;

  allocate(bytes: usize): usize {
    const size = (bytes + 7) & ~(<usize>7);
    const alignment: usize = size % CACHE_LINE == 0 ? CACHE_LINE : 8;
    let address = (this.free + alignment - 1) & ~(alignment - 1);
    if (address + size > this.end) {
      const chunk = max(size, CHUNK_BYTES);
      address = (heap.alloc(chunk + CACHE_LINE) + CACHE_LINE - 1) & ~(CACHE_LINE - 1);
      this.end = address + chunk;
    }
    this.used += size;
    this.free = address + size;
    memory.fill(address, 0, size);
    return address;
  }
}

/** Equal items of one size, a multiple of 8 bytes, get one address. */
export class Interner {
  private mask: u32 = 255;
  private slots: usize = heap.alloc(256 * 4);
  count: u32 = 0;

  constructor(
    private arena: Arena,
    private bytes: usize,
  ) {
    memory.fill(this.slots, 0, 256 * 4);
  }

  intern(item: usize): usize {
    let slot = hash(item, this.bytes) & this.mask;
    for (;;) {
      const found = load<u32>(this.slots + (slot << 2));
      if (found == 0) break;
      if (memory.compare(found, item, this.bytes) == 0) return found;
      slot = (slot + 1) & this.mask;
    }
    const address = this.arena.allocate(this.bytes);
    memory.copy(address, item, this.bytes);
    store<u32>(this.slots + (slot << 2), <u32>address);
    if (++this.count > this.mask >> 1) this.grow();
    return address;
  }

  private grow(): void {
    const old = this.slots;
    const oldMask = this.mask;
    this.mask = (oldMask << 1) | 1;
    this.slots = heap.alloc((<usize>this.mask + 1) << 2);
    memory.fill(this.slots, 0, (<usize>this.mask + 1) << 2);
    for (let i: u32 = 0; i <= oldMask; i++) {
      const item = load<u32>(old + (i << 2));
      if (item == 0) continue;
      let slot = hash(item, this.bytes) & this.mask;
      while (load<u32>(this.slots + (slot << 2)) != 0) slot = (slot + 1) & this.mask;
      store<u32>(this.slots + (slot << 2), item);
    }
  }
}

function hash(item: usize, bytes: usize): u32 {
  let h: u64 = 0;
  for (let i: usize = 0; i < bytes; i += 8) {
    h = (h ^ load<u64>(item + i)) * 0x9e3779b97f4a7c15;
    h ^= h >> 32;
  }
  return <u32>h;
}
