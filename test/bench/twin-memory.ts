// Functions and their native twins over the same memory: 4096 distinct frames in 16 batches.
import * as abi from "../../nfs/sdk/abi.ts";
import { BATCH_ADDRESS, FRAMES_ADDRESS, RECORDS_ADDRESS } from "../../runtime/dataplane/memory-map.ts";
import { type BareFunction, writeHeader } from "../support/bare-function.ts";
import type { Header } from "../support/rule-sets.ts";

export const BATCHES = 16;
export const FRAMES = BATCHES * abi.BATCH_CAPACITY;
const SLOT_BYTES = 2048;
const RECORDS_BYTES = abi.BATCH_CAPACITY * abi.RECORD_BYTES;

/** All frames stay in their slots; `select` puts a batch's records where the parser would. */
export class TwinMemory {
  readonly #records: Uint8Array;
  readonly #batches: readonly Uint8Array[];

  constructor(bare: BareFunction, headers: readonly Header[]) {
    if (headers.length !== FRAMES) throw new RangeError(`${headers.length} headers, not ${FRAMES}`);
    this.#records = new Uint8Array(bare.memory.buffer, RECORDS_ADDRESS, RECORDS_BYTES);
    this.#batches = Array.from({ length: BATCHES }, (_, batch) => {
      for (let index = 0; index < abi.BATCH_CAPACITY; index++) {
        const frame = batch * abi.BATCH_CAPACITY + index;
        const record = RECORDS_ADDRESS + index * abi.RECORD_BYTES;
        writeHeader(bare.bytes, record, FRAMES_ADDRESS + frame * SLOT_BYTES, headers[frame] as Header);
      }
      return this.#records.slice();
    });
    bare.bytes.setUint32(BATCH_ADDRESS + abi.BATCH_COUNT, abi.BATCH_CAPACITY, true);
    for (let index = 0; index < abi.BATCH_CAPACITY; index++) {
      bare.bytes.setUint16(BATCH_ADDRESS + abi.BATCH_INPUT + index * 2, index, true);
    }
  }

  select(batch: number): void {
    this.#records.set(this.#batches[batch] as Uint8Array);
  }
}
