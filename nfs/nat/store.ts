// What the function remembers, in its segment: it outlives instances, so everything in it is linked by references
// (offsets from the segment's start) and never by addresses, and is read anew by every instance.
//
//   header │ directory of outside addresses │ port sets │ buckets │ mappings │ sessions │ permissions │ hosts │ addresses │ blocks
//
// A zeroed segment is an empty one. Entries that are given back are linked through their first word. Every address is one
// word: addresses.ts.
import { Gauge, Segment, seed } from "../sdk";

const segment = new Segment("state");
export const base: usize = segment.address;

/** One inside endpoint (for narrower mapping behaviours: towards one remote endpoint) and the outside endpoint it has. */
@unmanaged
@final
export class Mapping {
  next: u32;
  nextOutside: u32;
  insideAddress: u32;
  outsideAddress: u32;
  /** What it is for alone; 0 where the mapping behaviour does not ask for it. */
  remoteAddress: u32;
  /** Sessions that use it: without any it goes. */
  sessions: u32;
  host: u32;
  /** Number of the outside address in the directory. */
  place: u16;
  insidePort: u16;
  outsidePort: u16;
  remotePort: u16;
  ipProto: u8;
  /** FILTER_*. */
  filtering: u8;
  /** Whether inside hosts may reach it by its outside endpoint. */
  hairpins: u8;
  /** The chain's port where its inside host was seen. */
  port: u8;
  /** The block that its port is of, 0 if ports are given one by one. */
  block: u32;
}

/** Ports of an outside address that are one inside host's, as long as it uses any of them. */
@unmanaged
@final
export class Block {
  /** The host's next one. */
  next: u32;
  host: u32;
  address: u32;
  mappings: u32;
  place: u16;
  low: u16;
  high: u16;
}

/** What becomes of a flow's packets: the tuple of direction 0 as it enters, and as it leaves. */
@unmanaged
@final
export class Session {
  /** What is known of a connection with SIP (message-store.ts); of an entry that is not in use: the next one. */
  connection: u32;
  /** The flow's number, 0 for an entry that is not in use. */
  flow: u32;
  mapping: u32;
  /** Where a hairpin session ends. */
  target: u32;
  permission: u32;
  host: u32;
  source: u32;
  destination: u32;
  newSource: u32;
  newDestination: u32;
  sourcePort: u16;
  destinationPort: u16;
  newSourcePort: u16;
  newDestinationPort: u16;
  /** Hairpin sessions leave by these ports of the chain, direction 0 and 1. */
  exitPort: u8;
  entryPort: u8;
  hairpins: u8;
  /** ENTERS_IPV6, LEAVES_IPV6, CROSSES. */
  families: u8;
  /** PROTOCOL_* (protocols.ts), or what is known of an FTP control connection. */
  control: u32;
}

/** Bits of Session.families. */
export const ENTERS_IPV6: u32 = 1;
export const LEAVES_IPV6: u32 = 2;
/** It is NAT64's: one of the two hosts, at the least, thinks that the other is of another family. */
export const CROSSES: u32 = 4;

/** An IPv6 address that others of these name by its number. */
@unmanaged
@final
export class Address {
  next: u32;
  /** How many name it: without any it goes. */
  holders: u32;
  high: u64;
  low: u64;
}

/** Remote endpoints that a mapping's host has sent to. */
@unmanaged
@final
export class Permission {
  next: u32;
  mapping: u32;
  remoteAddress: u32;
  remotePort: u32;
  sessions: u32;
}

/** An inside host, as long as it has mappings or sessions. */
@unmanaged
@final
export class Host {
  next: u32;
  address: u32;
  mappings: u32;
  sessions: u32;
  /** What its mappings share with paired pooling. */
  outsideAddress: u32;
  /** Its first block, and how many it has. */
  block: u32;
  blocks: u32;
}

@unmanaged
@final
class Header {
  /** For buckets: an instance that has another seed finds what is there. */
  secret: u64;
  random: u64;
  /** The session that the next sweep looks at first. */
  sweep: u32;
  /** Of the IPv4 packet that was last made of an IPv6 one. */
  identification: u32;
  /** Of the blocks' log: entries that were ever written, and of those how many were told. */
  noted: u32;
  told: u32;
  /** The instance that names the rules' IPv6 addresses, and how many it names: fixed.ts. */
  instance: u32;
  fixed: u32;
}

export const header = changetype<Header>(base);
const SLABS = base + 128;
/** By port of the chain, for IPv4 and then for IPv6: the last address that it was seen to have, of those that rules follow. */
export const ownAddresses: usize = base + 1024;
/** IPv6 addresses that rules name. */
export const FIXED: u32 = 1024;
export const fixedAddresses: usize = ownAddresses + 2 * 256 * 4;
const SLAB_BYTES: usize = 16;

const ENTRIES: u32 = 131072;
const HOSTS: u32 = 32768;
/** A session names one that no other names, beside those of inside hosts and of rules. */
const ADDRESSES: u32 = 204800;
const BLOCKS: u32 = 65536;
export const BUCKETS: u32 = 65536;
export const PLACES: u32 = 256;
export const PLACE_BYTES: u32 = 8;
/** One bit per port, and one per word of 64 that is full. */
export const PORT_SET_BYTES: u32 = 8192 + 128;
/** TCP, UDP and ICMP have ports of their own. */
export const PORT_SETS: u32 = 3;

export const places: usize = base + 8192;
export const portSets: usize = places + PLACES * PLACE_BYTES;
export const insideBuckets: usize = portSets + PLACES * PORT_SETS * PORT_SET_BYTES;
export const outsideBuckets: usize = insideBuckets + BUCKETS * 4;
export const permissionBuckets: usize = outsideBuckets + BUCKETS * 4;
export const hostBuckets: usize = permissionBuckets + BUCKETS * 4;
export const addressBuckets: usize = hostBuckets + BUCKETS * 4;
/** One bit per 64 ports of each place: whether they are in a block. */
export const BLOCK_SET_BYTES: u32 = 128;
export const blockSets: usize = addressBuckets + BUCKETS * 4;
export const NOTES: u32 = 4096;
export const NOTE_BYTES: u32 = 64;
export const notes: usize = blockSets + PLACES * BLOCK_SET_BYTES;
/** Identifications of fragments that are under way: renumber.ts. */
export const NUMBERS: u32 = 8192;
export const NUMBER_BYTES: u32 = 16;
export const numbers: usize = notes + NOTES * NOTE_BYTES;
const ARRAYS = numbers + NUMBERS * NUMBER_BYTES;

/** Entries of one kind; those that were never used lie behind `used`. References count from `origin`. */
@final
export class Slab {
  constructor(
    readonly head: usize,
    readonly first: usize,
    readonly bytes: u32,
    readonly capacity: u32,
    readonly level: Gauge,
    readonly origin: usize = base,
  ) {}

  /** How many were ever used: the first so many places may hold entries. */
  get used(): u32 {
    return load<u32>(this.head);
  }

  /** How many are in use. */
  get live(): u32 {
    return load<u32>(this.head, 8);
  }

  /** Reference of a zeroed entry; 0 if all are in use. */
  take(): u32 {
    let entry = load<u32>(this.head, 4);
    if (entry != 0) {
      store<u32>(this.head, load<u32>(this.origin + entry), 4);
    } else {
      const used = this.used;
      if (used == this.capacity) return 0;
      entry = <u32>(this.first - this.origin) + used * this.bytes;
      store<u32>(this.head, used + 1);
    }
    for (let i: u32 = 0; i < this.bytes; i += 4) store<u32>(this.origin + entry + i, 0);
    this.count(1);
    return entry;
  }

  give(entry: u32): void {
    for (let i: u32 = 4; i < this.bytes; i += 4) store<u32>(this.origin + entry + i, 0);
    store<u32>(this.origin + entry, load<u32>(this.head, 4));
    store<u32>(this.head, entry, 4);
    this.count(-1);
  }

  private count(change: i32): void {
    const live = load<u32>(this.head, 8) + change;
    store<u32>(this.head, live, 8);
    this.level.value = live;
  }
}

/** Entries are read and zeroed by words: none may reach into the next one. */
@inline
function sizeOf<T>(): u32 {
  return (<u32>offsetof<T>() + 7) & ~7;
}

const firstSession = ARRAYS + ENTRIES * sizeOf<Mapping>();
const firstPermission = firstSession + ENTRIES * sizeOf<Session>();
const firstHost = firstPermission + ENTRIES * sizeOf<Permission>();
const firstAddress = firstHost + HOSTS * sizeOf<Host>();
const firstBlock = firstAddress + ADDRESSES * sizeOf<Address>();
const END = firstBlock + BLOCKS * sizeOf<Block>();

export const mappings = new Slab(SLABS, ARRAYS, sizeOf<Mapping>(), ENTRIES, new Gauge("mappings"));
export const sessions = new Slab(SLABS + SLAB_BYTES, firstSession, sizeOf<Session>(), ENTRIES, new Gauge("sessions"));
export const permissions = new Slab(
  SLABS + 2 * SLAB_BYTES,
  firstPermission,
  sizeOf<Permission>(),
  ENTRIES,
  new Gauge("permissions"),
);
export const hosts = new Slab(SLABS + 3 * SLAB_BYTES, firstHost, sizeOf<Host>(), HOSTS, new Gauge("hosts"));
export const addresses = new Slab(
  SLABS + 4 * SLAB_BYTES,
  firstAddress,
  sizeOf<Address>(),
  ADDRESSES,
  new Gauge("addresses"),
);
export const blocks = new Slab(SLABS + 5 * SLAB_BYTES, firstBlock, sizeOf<Block>(), BLOCKS, new Gauge("blocks"));

/** Whether the manifest's segment has room for all of it. */
export function fits(): bool {
  return END - base <= segment.bytes;
}

@inline
export function mappingAt(reference: u32): Mapping {
  return changetype<Mapping>(base + reference);
}

@inline
export function sessionAt(reference: u32): Session {
  return changetype<Session>(base + reference);
}

@inline
export function permissionAt(reference: u32): Permission {
  return changetype<Permission>(base + reference);
}

@inline
export function blockAt(reference: u32): Block {
  return changetype<Block>(base + reference);
}

@inline
export function hostAt(reference: u32): Host {
  return changetype<Host>(base + reference);
}

/** Nobody outside can choose addresses and ports that fall into one bucket: the secret is the segment's own. */
export function bucketOf(buckets: usize, first: u64, second: u64): usize {
  if (header.secret == 0) header.secret = (seed ^ 0x9e3779b97f4a7c15) | 1;
  let hash = (first ^ header.secret) * 0x9e3779b97f4a7c15;
  hash = (hash ^ (hash >> 32) ^ second) * 0xd6e8feb86659fd93;
  hash = (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15;
  return buckets + ((<usize>(hash >> 40)) & (BUCKETS - 1)) * 4;
}

/** Takes an entry out of a chain that is linked through the word at `link` of each entry. */
export function unlink(bucket: usize, reference: u32, link: usize): void {
  let at = bucket;
  while (load<u32>(at) != reference) {
    if (load<u32>(at) == 0) return;
    at = base + load<u32>(at) + link;
  }
  store<u32>(at, load<u32>(base + reference + link));
}

/** xorshift64*: from the chain's seed, and going on where the instance before stopped. */
export function random(limit: u32): u32 {
  let state = header.random;
  if (state == 0) state = (seed * 0xd6e8feb86659fd93) | 1;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  header.random = state;
  return <u32>(((state * 0x2545f4914f6cdd1d) >> 32) % limit);
}
