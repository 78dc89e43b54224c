// The frames of recorded calls as a capture, for tshark and its like; nothing reads it back.
import { LINK_ETHERNET, LINK_NULL, LINK_RAW, LINK_SLL, RECORD_LINK, RECORD_WIRE_LENGTH } from "../../../nfs/sdk/abi.ts";
import type { RecordedCall } from "./call-log.ts";

/** libpcap's LINKTYPE_*. */
const linkTypes: Readonly<Record<number, number>> = {
  [LINK_ETHERNET]: 1,
  [LINK_NULL]: 0,
  [LINK_RAW]: 101,
  [LINK_SLL]: 113,
};
const NANOSECOND_MAGIC = 0xa1b23c4d;
const SNAPLEN = 262144;

/** A capture has one link type: that of the last frame, which is of the call that failed. Others are left out. */
export function formatPcap(calls: readonly RecordedCall[]): Uint8Array {
  const frames = calls.flatMap(({ timeNs, frames }) => frames.map((frame) => ({ ...frame, timeNs })));
  const link = frames.at(-1)?.record[RECORD_LINK] ?? LINK_ETHERNET;
  const kept = frames.filter(({ record, bytes }) => record[RECORD_LINK] === link && bytes.length > 0);
  const head = Buffer.alloc(24);
  head.writeUInt32LE(NANOSECOND_MAGIC, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(SNAPLEN, 16);
  head.writeUInt32LE(linkTypes[link] ?? 1, 20);
  return Buffer.concat([
    head,
    ...kept.flatMap(({ timeNs, record, bytes }) => [formatHead(timeNs, record, bytes), bytes]),
  ]);
}

function formatHead(timeNs: bigint, record: Uint8Array, bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(Number(timeNs / 1_000_000_000n) % 2 ** 32, 0);
  head.writeUInt32LE(Number(timeNs % 1_000_000_000n), 4);
  head.writeUInt32LE(bytes.length, 8);
  head.writeUInt32LE(new DataView(record.buffer, record.byteOffset).getUint32(RECORD_WIRE_LENGTH, true), 12);
  return head;
}
