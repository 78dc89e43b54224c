// Blocks of a pcapng capture (draft-ietf-opsawg-pcapng), little-endian, times in nanoseconds.
//
//   section header ─▶ one interface description each ─▶ packets … ─▶ one statistics block per interface

export interface CapturedInterface {
  readonly name: string;
  readonly description: string;
  /** LINKTYPE_*. */
  readonly linkType: number;
  readonly snapLength: number;
}

export interface CapturedPacket {
  /** Index of its interface. */
  readonly interface: number;
  readonly timeNs: bigint;
  readonly bytes: Uint8Array;
  /** On the wire; more than `bytes` has if it was cut. */
  readonly wireLength: number;
  readonly direction: "in" | "out" | null;
  readonly comment: string;
}

export interface InterfaceStatistics {
  readonly interface: number;
  readonly timeNs: bigint;
  /** Packets in the capture; those that are missing in it; and of these those that were never looked at. */
  readonly accepted: number;
  readonly dropped: number;
  readonly unseen: number;
  readonly comment: string;
}

export const SECTION_HEADER = 0x0a0d0d0a;
export const INTERFACE_DESCRIPTION = 1;
export const INTERFACE_STATISTICS = 5;
export const ENHANCED_PACKET = 6;

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const NANOSECONDS = 9;
const END_OF_OPTIONS = 0;
const COMMENT = 1;
const HARDWARE = 2;
const USER_APPLICATION = 4;
const IF_NAME = 2;
const IF_DESCRIPTION = 3;
const IF_TSRESOL = 9;
const EPB_FLAGS = 2;
const ISB_IFDROP = 5;
const ISB_FILTERACCEPT = 6;
const ISB_OSDROP = 7;
const INBOUND = 1;
const OUTBOUND = 2;
const PACKET_HEAD_BYTES = 28;
/** What one option can hold. */
const OPTION_BYTES_MAX = 0xffff;

/** The section's header, and its interfaces. */
export function formatHeader(application: string, interfaces: readonly CapturedInterface[]): Uint8Array {
  const unknownLength = new Uint8Array(8).fill(0xff);
  const section = [word32(BYTE_ORDER_MAGIC), word16(1), word16(0), unknownLength];
  const from = options(option(HARDWARE, text(process.arch)), option(USER_APPLICATION, text(application)));
  return Buffer.concat([block(SECTION_HEADER, ...section, from), ...interfaces.map(formatInterface)]);
}

function formatInterface({ name, description, linkType, snapLength }: CapturedInterface): Uint8Array {
  const about = options(
    option(IF_NAME, text(name)),
    option(IF_DESCRIPTION, text(description)),
    option(IF_TSRESOL, Uint8Array.of(NANOSECONDS)),
  );
  return block(INTERFACE_DESCRIPTION, word16(linkType), word16(0), word32(snapLength), about);
}

/** Of which there may be many: written in one piece. */
export function formatPacketBlock(packet: CapturedPacket): Uint8Array {
  const { timeNs, bytes, wireLength } = packet;
  const about = packetOptions(packet);
  const padding = -bytes.length & 3;
  const length = PACKET_HEAD_BYTES + bytes.length + padding + about.length + 4;
  const written = Buffer.allocUnsafe(length);
  written.writeUInt32LE(ENHANCED_PACKET, 0);
  written.writeUInt32LE(length, 4);
  written.writeUInt32LE(packet.interface, 8);
  written.writeUInt32LE(Number(timeNs >> 32n), 12);
  written.writeUInt32LE(Number(timeNs & 0xffffffffn), 16);
  written.writeUInt32LE(bytes.length, 20);
  written.writeUInt32LE(Math.max(wireLength, bytes.length), 24);
  written.set(bytes, PACKET_HEAD_BYTES);
  written.fill(0, PACKET_HEAD_BYTES + bytes.length, PACKET_HEAD_BYTES + bytes.length + padding);
  written.set(about, PACKET_HEAD_BYTES + bytes.length + padding);
  written.writeUInt32LE(length, length - 4);
  return written;
}

/** The same words come again and again. */
const knownOptions = new Map<string, Uint8Array>();
const KNOWN_OPTIONS_MAX = 1000;

function packetOptions({ direction, comment }: CapturedPacket): Uint8Array {
  const key = `${direction} ${comment}`;
  const known = knownOptions.get(key);
  if (known !== undefined) return known;
  const flags = direction === null ? [] : [option(EPB_FLAGS, word32(direction === "in" ? INBOUND : OUTBOUND))];
  const comments = comment === "" ? [] : [option(COMMENT, text(comment))];
  const made = options(...comments, ...flags);
  if (knownOptions.size < KNOWN_OPTIONS_MAX) knownOptions.set(key, made);
  return made;
}

export function formatStatistics(statistics: InterfaceStatistics): Uint8Array {
  const { timeNs, accepted, dropped, unseen, comment } = statistics;
  const comments = comment === "" ? [] : [option(COMMENT, text(comment))];
  return block(
    INTERFACE_STATISTICS,
    word32(statistics.interface),
    ...timestamp(timeNs),
    options(
      ...comments,
      option(ISB_IFDROP, word64(dropped)),
      option(ISB_FILTERACCEPT, word64(accepted)),
      option(ISB_OSDROP, word64(unseen)),
    ),
  );
}

function block(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = 12 + parts.reduce((sum, { length }) => sum + length, 0);
  return Buffer.concat([word32(type), word32(bytes), ...parts, word32(bytes)]);
}

function option(code: number, value: Uint8Array): Uint8Array {
  const kept = value.subarray(0, OPTION_BYTES_MAX);
  return Buffer.concat([word16(code), word16(kept.length), padded(kept)]);
}

function options(...list: readonly Uint8Array[]): Uint8Array {
  return list.length === 0 ? Buffer.alloc(0) : Buffer.concat([...list, word16(END_OF_OPTIONS), word16(0)]);
}

function padded(bytes: Uint8Array): Uint8Array {
  const rest = -bytes.length & 3;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(rest)]);
}

/** The upper half comes first. */
function timestamp(timeNs: bigint): Uint8Array[] {
  return [word32(Number(timeNs >> 32n)), word32(Number(timeNs & 0xffffffffn))];
}

function text(value: string): Uint8Array {
  return Buffer.from(value);
}

function word16(value: number): Uint8Array {
  return Uint8Array.of(value & 255, value >> 8);
}

function word32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function word64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
