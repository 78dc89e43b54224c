// A frame and its record as the host reads them, on cold paths: events, traces, tests.
import {
  OFFSET_NONE,
  RECORD_BYTES,
  RECORD_DESTINATION_PORT,
  RECORD_FLAGS,
  RECORD_FRAME,
  RECORD_INNER_TCI,
  RECORD_IP_PROTO,
  RECORD_IP_VERSION,
  RECORD_L3_OFFSET,
  RECORD_L4_OFFSET,
  RECORD_LENGTH,
  RECORD_MALFORMED,
  RECORD_OUTER_TCI,
  RECORD_SOURCE_PORT,
  RECORD_VLAN_COUNT,
} from "../../nfs/sdk/abi.ts";
import type { LaneMemory } from "./lane-memory.ts";
import { SHARED_RECORDS_OFFSET } from "./layout.ts";
import { FRAMES_ADDRESS } from "./memory-map.ts";
import type { NativeAddon } from "./native.ts";

const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;
const VLAN_ID_BITS = 0x0fff;

/** Stands on one record of a lane and moves from one to the next. Offsets count from the frame's first byte. */
export class FrameReader {
  readonly #records: DataView;
  readonly #frames: DataView;
  #record = 0;

  constructor(memory: Pick<LaneMemory, "shared" | "umem">) {
    this.#records = new DataView(memory.shared.buffer, SHARED_RECORDS_OFFSET);
    this.#frames = new DataView(memory.umem.buffer);
  }

  /** A record and its frame's bytes are valid until the next inhale. */
  moveTo(record: number): void {
    this.#record = record * RECORD_BYTES;
  }

  get length(): number {
    return this.#field32(RECORD_LENGTH);
  }

  get malformed(): number {
    return this.#records.getUint8(this.#record + RECORD_MALFORMED);
  }

  get flags(): number {
    return this.#field16(RECORD_FLAGS);
  }

  get ipVersion(): number {
    return this.#records.getUint8(this.#record + RECORD_IP_VERSION);
  }

  get ipProto(): number {
    return this.#records.getUint8(this.#record + RECORD_IP_PROTO);
  }

  get l3Offset(): number {
    return this.#field16(RECORD_L3_OFFSET);
  }

  get l4Offset(): number {
    return this.#field16(RECORD_L4_OFFSET);
  }

  get sourcePort(): number {
    return this.#field16(RECORD_SOURCE_PORT);
  }

  get destinationPort(): number {
    return this.#field16(RECORD_DESTINATION_PORT);
  }

  /** The whole fixed part of an IPv4 or IPv6 header is there. */
  get hasIp(): boolean {
    const bytes = this.ipVersion === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
    return this.ipVersion !== 0 && isPresent(this, this.l3Offset, bytes);
  }

  get hasTransport(): boolean {
    return this.l4Offset !== OFFSET_NONE;
  }

  /** Network order; a copy. Only if hasIp. */
  get source(): Uint8Array {
    return this.ipVersion === 4 ? this.#bytes(this.l3Offset + 12, 4) : this.#bytes(this.l3Offset + 8, 16);
  }

  get destination(): Uint8Array {
    return this.ipVersion === 4 ? this.#bytes(this.l3Offset + 16, 4) : this.#bytes(this.l3Offset + 24, 16);
  }

  /** Outermost first; at most two are described. */
  get vlanIds(): readonly number[] {
    const count = this.#records.getUint8(this.#record + RECORD_VLAN_COUNT);
    return [RECORD_OUTER_TCI, RECORD_INNER_TCI].slice(0, count).map((field) => this.#field16(field) & VLAN_ID_BITS);
  }

  u8(offset: number): number {
    return this.#frames.getUint8(this.#start + offset);
  }

  /** Network order. */
  u16(offset: number): number {
    return this.#frames.getUint16(this.#start + offset);
  }

  /** Network order. */
  u32(offset: number): number {
    return this.#frames.getUint32(this.#start + offset);
  }

  get #start(): number {
    return this.#field32(RECORD_FRAME) - FRAMES_ADDRESS;
  }

  #bytes(offset: number, length: number): Uint8Array {
    const start = this.#start + offset;
    return new Uint8Array(this.#frames.buffer.slice(start, start + length));
  }

  #field16(field: number): number {
    return this.#records.getUint16(this.#record + field, true);
  }

  #field32(field: number): number {
    return this.#records.getUint32(this.#record + field, true);
  }
}

/** The first bytes of a frame that is in no lane any more; `wireLength`: what it had. */
export function readFrame(
  native: Pick<NativeAddon, "parse">,
  bytes: Uint8Array,
  link: number,
  wireLength: number,
): FrameReader {
  const records = new Uint8Array(SHARED_RECORDS_OFFSET + RECORD_BYTES);
  records.set(new Uint8Array(native.parse(bytes, link, wireLength)), SHARED_RECORDS_OFFSET);
  new DataView(records.buffer).setUint32(SHARED_RECORDS_OFFSET + RECORD_FRAME, FRAMES_ADDRESS, true);
  const frame = bytes.slice();
  return new FrameReader({
    shared: { bytes: records.length, buffer: records.buffer },
    umem: { bytes: frame.length, buffer: frame.buffer },
  });
}

/** The frame has bytes [offset, offset + bytes). */
export function isPresent(frame: FrameReader, offset: number, bytes: number): boolean {
  return offset !== OFFSET_NONE && offset + bytes <= frame.length;
}
