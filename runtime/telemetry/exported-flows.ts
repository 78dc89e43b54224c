// What a collector has been told of each flow, by number: a file beside the flow table, which goes where the flows go.
// Whoever exports next, after this process, sends what is new since then and nothing twice.
//
//   page 0   by which epoch entries count, and who the collector is
//   then     entries of 64 bytes, by flow number; pages of flows that nobody exported stay holes
import type { NativeAddon, Segment } from "../dataplane/native.ts";
import { EXPORTED_FLOWS } from "../dataplane/reports.ts";
import type { Reported } from "./ipfix-records.ts";

const PAGE_BYTES = 4096;
const EPOCH = 0;
const NAME = 8;
const NAME_BYTES = 256;

// An entry.
const ENTRY_BYTES = 64;
/** Written last, and 0 before anything else is: one that was written by half is none. */
const START = 0;
const LAST = 8;
const PACKETS = 16;
const OCTETS = 32;
const REPORTED = 48;
const ENTRY_EPOCH = 56;

export class ExportedFlows {
  readonly #view: DataView;
  #epoch = 0;

  /** Without a folder, it ends with this object. */
  static open(native: Pick<NativeAddon, "openSegment">, capacity: number, folder?: string): ExportedFlows {
    const bytes = PAGE_BYTES + Math.ceil(((capacity + 1) * ENTRY_BYTES) / PAGE_BYTES) * PAGE_BYTES;
    const path = folder === undefined ? undefined : `${folder}/${EXPORTED_FLOWS}`;
    return new ExportedFlows(native.openSegment(bytes, path));
  }

  private constructor({ buffer }: Segment) {
    this.#view = new DataView(buffer);
  }

  /** From now on it is about that collector: what another one was told does not count. */
  claim(collector: string): void {
    const wanted = new Uint8Array(NAME_BYTES);
    new TextEncoder().encodeInto(collector, wanted);
    const name = new Uint8Array(this.#view.buffer, NAME, NAME_BYTES);
    this.#epoch = this.#view.getUint32(EPOCH, true);
    if (this.#epoch !== 0 && Buffer.compare(name, wanted) === 0) return;
    this.#epoch += 1;
    name.set(wanted);
    this.#view.setUint32(EPOCH, this.#epoch, true);
  }

  /** Of that flow, and not of one that had its number. */
  find(flow: number, startNs: bigint): Reported | undefined {
    const at = this.#placeOf(flow);
    if (at === undefined || this.#view.getBigUint64(at + START, true) !== startNs) return undefined;
    if (this.#view.getUint32(at + ENTRY_EPOCH, true) !== this.#epoch) return undefined;
    return {
      startNs,
      lastNs: this.#u64(at + LAST),
      packets: this.#pair(at + PACKETS),
      octets: this.#pair(at + OCTETS),
    };
  }

  /** When it was exported last, in ms since 1970; undefined if it never was. `startMs` is rounded. */
  reportedMs(flow: number, startMs: number): number | undefined {
    const at = this.#placeOf(flow);
    if (at === undefined || this.#view.getUint32(at + ENTRY_EPOCH, true) !== this.#epoch) return undefined;
    const isSame = Math.abs(Number(this.#u64(at + START)) / 1e6 - startMs) < 1;
    return isSame ? this.#view.getFloat64(at + REPORTED, true) : undefined;
  }

  note(flow: number, { startNs, lastNs, packets, octets }: Reported, nowMs: number): void {
    const at = this.#placeOf(flow);
    if (at === undefined) return;
    const view = this.#view;
    view.setBigUint64(at + START, 0n, true);
    view.setBigUint64(at + LAST, lastNs, true);
    for (const side of [0, 1] as const) {
      view.setBigUint64(at + PACKETS + 8 * side, BigInt(packets[side]), true);
      view.setBigUint64(at + OCTETS + 8 * side, BigInt(octets[side]), true);
    }
    view.setFloat64(at + REPORTED, nowMs, true);
    view.setUint32(at + ENTRY_EPOCH, this.#epoch, true);
    view.setBigUint64(at + START, startNs, true);
  }

  #placeOf(flow: number): number | undefined {
    const at = PAGE_BYTES + flow * ENTRY_BYTES;
    return at + ENTRY_BYTES <= this.#view.byteLength ? at : undefined;
  }

  #pair(at: number): readonly [number, number] {
    return [Number(this.#u64(at)), Number(this.#u64(at + 8))];
  }

  #u64(at: number): bigint {
    return this.#view.getBigUint64(at, true);
  }
}
