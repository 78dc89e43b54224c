// Port block allocation: a host gets ports of an outside address by the block, with one log entry when it gets a block and
// one when it has no mapping in it any more (RFC 6888, REQ-8 and section 4; RFC 7422 says why).
//
// A block is for all protocols, begins at a multiple of its size, and is marked by one bit per 64 ports.
import { IP_PROTO_ICMP } from "../sdk";
import { ALLOCATED, note, RELEASED } from "./block-log";
import { isOwnWord } from "./lane-share";
import { ANY, findPort, isUnused, placeOf, portSetOf, sameParity } from "./ports";
import { reservedSetOf, SourceRule } from "./rules";
import { Block, BLOCK_SET_BYTES, blockAt, blocks, blockSets, Host, hostAt, random } from "./store";

/** In place of a member of the pool: the host has as many blocks as it may. */
export const OVER_LIMIT: i32 = -2;
const NONE: i32 = -1;

/** What choosePortInBlocks found. */
export let blockPort: u32 = 0;
export let chosenBlock: u32 = 0;

/** Which address of the pool has a port for the host's connection: in `chosenBlock`, `blockPort`. */
export function choosePortInBlocks(rule: SourceRule, reference: u32, ipProto: u32, insidePort: u32): i32 {
  const host = hostAt(reference);
  for (let at = host.block; at != 0; at = blockAt(at).next) {
    const member = rule.pool.indexOf(blockAt(at).address);
    if (member >= 0 && findInBlock(rule, at, ipProto, insidePort)) return member;
  }
  if (host.blocks >= rule.blocksPerHost) return OVER_LIMIT;
  const member = allocate(rule, reference, host);
  if (member < 0) return NONE;
  if (findInBlock(rule, chosenBlock, ipProto, insidePort)) return member;
  // All its ports are forwarded.
  release(chosenBlock);
  return NONE;
}

function findInBlock(rule: SourceRule, reference: u32, ipProto: u32, insidePort: u32): bool {
  const block = blockAt(reference);
  const low: u32 = block.low;
  const high: u32 = block.high;
  const isPort = ipProto != IP_PROTO_ICMP;
  const reserved = isPort ? reservedSetOf(block.address, ipProto) : 0;
  const wanted = rule.parity && isPort ? sameParity(insidePort) : ANY;
  const own = rule.preserves && insidePort >= low && insidePort <= high;
  const start = own ? insidePort : low + random(high - low + 1);
  const port = findPort(portSetOf(block.place, ipProto), reserved, low, high, start, wanted);
  if (port < 0) return false;
  blockPort = port;
  chosenBlock = reference;
  return true;
}

/** A new block for the host, `chosenBlock`; the member of the pool that it is of, or NONE. */
function allocate(rule: SourceRule, reference: u32, host: Host): i32 {
  const count = <u32>rule.pool.length;
  const pairs = rule.paired && host.blocks > 0 ? rule.pool.indexOf(blockAt(host.block).address) : -1;
  const first: u32 = pairs >= 0 ? <u32>pairs : random(count);
  const tries: u32 = pairs >= 0 && !rule.otherAddress ? 1 : count;
  for (let i: u32 = 0; i < tries; i++) {
    const member = (first + i) % count;
    const place = placeOf(rule, member);
    const low = place < 0 ? NONE : findFree(rule, place);
    if (low >= 0) return take(rule, reference, host, member, place, low) ? <i32>member : NONE;
  }
  return NONE;
}

/** The first port of a block that is nobody's. */
function findFree(rule: SourceRule, place: u32): i32 {
  const size = rule.blockSize;
  const first = (rule.lowPort + size - 1) / size;
  const count = (rule.highPort + 1) / size - first;
  const start = random(count);
  for (let i: u32 = 0; i < count; i++) {
    const low = (first + ((start + i) % count)) * size;
    if (isFree(place, low, size)) return low;
  }
  return NONE;
}

/** Also of ports that were given one by one before the rule had blocks. */
function isFree(place: u32, low: u32, size: u32): bool {
  for (let word = low >> 6; word < (low + size) >> 6; word++) {
    if (!isOwnWord(word) || isMarked(place, word) || !isUnused(place, word)) return false;
  }
  return true;
}

function take(rule: SourceRule, reference: u32, host: Host, member: u32, place: u32, low: u32): bool {
  const taken = blocks.take();
  if (taken == 0) return false;
  const block = blockAt(taken);
  block.host = reference;
  block.address = unchecked(rule.pool[member]);
  block.place = <u16>place;
  block.low = <u16>low;
  block.high = <u16>(low + rule.blockSize - 1);
  block.next = host.block;
  host.block = taken;
  host.blocks++;
  markAll(block, true);
  chosenBlock = taken;
  note(ALLOCATED, block, host);
  return true;
}

/** A mapping of the block has gone. */
export function leaveBlock(reference: u32): void {
  const block = blockAt(reference);
  block.mappings--;
  if (block.mappings == 0) release(reference);
}

/** There was no room for the mapping that a new block was for. */
export function dropEmptyBlock(): void {
  if (chosenBlock != 0 && blockAt(chosenBlock).mappings == 0) release(chosenBlock);
}

function release(reference: u32): void {
  const block = blockAt(reference);
  const host = hostAt(block.host);
  if (host.block == reference) {
    host.block = block.next;
  } else {
    let before = host.block;
    while (blockAt(before).next != reference) before = blockAt(before).next;
    blockAt(before).next = block.next;
  }
  host.blocks--;
  markAll(block, false);
  note(RELEASED, block, host);
  blocks.give(reference);
  chosenBlock = 0;
}

// ---- which ports are in blocks ----

@inline
function byteAt(place: u32, word: u32): usize {
  return blockSets + <usize>(place * BLOCK_SET_BYTES + (word >> 3));
}

function isMarked(place: u32, word: u32): bool {
  return ((load<u8>(byteAt(place, word)) >> (word & 7)) & 1) != 0;
}

function markAll(block: Block, isTaken: bool): void {
  for (let word: u32 = block.low >> 6; word <= (<u32>block.high) >> 6; word++) {
    const at = byteAt(block.place, word);
    const bit: u32 = 1 << (word & 7);
    const bits = <u32>load<u8>(at);
    store<u8>(at, <u8>(isTaken ? bits | bit : bits & ~bit));
  }
}
