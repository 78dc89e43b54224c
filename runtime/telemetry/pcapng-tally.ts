// Counts what a pcapng stream of ours holds while it passes by.
import { ENHANCED_PACKET, INTERFACE_STATISTICS } from "./pcapng.ts";

const HEAD_BYTES = 8;
const STATISTICS_OPTIONS = 20;
const COMMENT = 1;
const IFDROP = 5;

export class PcapngTally {
  packets = 0;
  /** Of all interfaces, once the statistics have come. */
  missing = 0;
  /** Why it ended; empty before the statistics. */
  why = "";
  #rest: Buffer = Buffer.alloc(0);

  /** Any piece of the stream, in order. */
  add(piece: Uint8Array): void {
    const bytes = Buffer.concat([this.#rest, piece]);
    let at = 0;
    while (at + HEAD_BYTES <= bytes.length) {
      const length = bytes.readUInt32LE(at + 4);
      if (at + length > bytes.length || length < HEAD_BYTES) break;
      this.#count(bytes.readUInt32LE(at), bytes.subarray(at, at + length));
      at += length;
    }
    this.#rest = bytes.subarray(at);
  }

  #count(type: number, block: Buffer): void {
    if (type === ENHANCED_PACKET) this.packets += 1;
    if (type !== INTERFACE_STATISTICS) return;
    for (let at = STATISTICS_OPTIONS; at + 4 <= block.length - 4; ) {
      const [code, length] = [block.readUInt16LE(at), block.readUInt16LE(at + 2)];
      if (code === 0) return;
      if (code === COMMENT) this.why = block.toString("utf8", at + 4, at + 4 + length);
      if (code === IFDROP) this.missing += Number(block.readBigUInt64LE(at + 4));
      at += 4 + Math.ceil(length / 4) * 4;
    }
  }
}
