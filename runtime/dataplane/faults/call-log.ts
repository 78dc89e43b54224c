// Calls as native/src/lane_calls.cc writes them down (layout.ts), read back.
import {
  CHUNK_BYTES,
  CHUNK_DATA,
  EVENT_ENTRY_BYTES,
  EVENT_ENTRY_FLOW,
  RECORD_BYTES,
  RECORD_FLOW,
  RECORD_FRAME,
} from "../../../nfs/sdk/abi.ts";
import {
  CALL_BYTES,
  CALL_CHUNK_KEPT,
  CALL_CHUNKS,
  CALL_COUNT,
  CALL_EVENTS,
  CALL_FRAME_HEAD_BYTES,
  CALL_HEAD_BYTES,
  CALL_HOP,
  CALL_KIND,
  CALL_MISSED,
  CALL_ROW_BYTES,
  CALL_TIME,
  type CallKind,
  callKinds,
} from "../layout.ts";

/** What the function could read of a flow: its record if it reads that, then 8 bytes per column that it sees. */
export interface FlowRow {
  readonly flow: number;
  readonly bytes: Uint8Array;
}

export interface RecordedFrame {
  /** Index of its record in the lane. */
  readonly index: number;
  /** RECORD_BYTES. */
  readonly record: Uint8Array;
  /** Where it lay in the function's memory. */
  readonly address: number;
  /** Empty if the function could not read it and it was not kept. */
  readonly bytes: Uint8Array;
  readonly row: FlowRow;
}

export interface RecordedChunk {
  /** CHUNK_BYTES. */
  readonly entry: Uint8Array;
  readonly address: number;
  /** What lay in the stream buffer; empty if it lies in a frame. */
  readonly bytes: Uint8Array;
}

export interface RecordedEvent {
  /** EVENT_ENTRY_BYTES. */
  readonly entry: Uint8Array;
  readonly row: FlowRow;
}

export interface RecordedCall {
  readonly kind: CallKind;
  readonly hop: number;
  readonly timeNs: bigint;
  readonly frames: readonly RecordedFrame[];
  readonly chunks: readonly RecordedChunk[];
  readonly events: readonly RecordedEvent[];
  /** Of batched events. */
  readonly missed: number;
}

/** Throws RangeError for what is no such log. */
export function readCalls(log: Uint8Array): RecordedCall[] {
  const calls: RecordedCall[] = [];
  for (let at = 0; at < log.length; ) {
    if (at + CALL_HEAD_BYTES > log.length) throw new RangeError("a call is cut off");
    const bytes = viewOf(log).getUint32(at + CALL_BYTES, true);
    if (bytes < CALL_HEAD_BYTES || at + bytes > log.length) throw new RangeError("a call has a wrong length");
    calls.push(new CallReader(log.subarray(at, at + bytes)).read());
    at += bytes;
  }
  return calls;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

class CallReader {
  readonly #call: Uint8Array;
  readonly #view: DataView;
  #at = CALL_HEAD_BYTES;

  constructor(call: Uint8Array) {
    this.#call = call;
    this.#view = viewOf(call);
  }

  read(): RecordedCall {
    const kind = callKinds[this.#word(CALL_KIND)];
    if (kind === undefined) throw new RangeError("a call is of no known kind");
    const call = {
      kind,
      hop: this.#word(CALL_HOP),
      timeNs: this.#view.getBigUint64(CALL_TIME, true),
      frames: this.#list(CALL_COUNT, () => this.#readFrame()),
      chunks: this.#list(CALL_CHUNKS, () => this.#readChunk()),
      events: this.#list(CALL_EVENTS, () => this.#readEvent()),
      missed: this.#word(CALL_MISSED),
    };
    if (this.#at !== this.#call.length) throw new RangeError("a call has a wrong length");
    return call;
  }

  #list<T>(count: number, read: () => T): T[] {
    const found: T[] = [];
    for (let left = this.#word(count); left > 0; left--) found.push(read());
    return found;
  }

  #readFrame(): RecordedFrame {
    const head = viewOf(this.#take(CALL_FRAME_HEAD_BYTES));
    const record = this.#take(RECORD_BYTES);
    const fields = viewOf(record);
    const row = this.#readRow(fields.getUint32(RECORD_FLOW, true));
    const bytes = this.#takePadded(head.getUint32(4, true));
    return { index: head.getUint16(0, true), record, address: fields.getUint32(RECORD_FRAME, true), bytes, row };
  }

  #readChunk(): RecordedChunk {
    const entry = this.#take(CHUNK_BYTES);
    const fields = viewOf(entry);
    const bytes = this.#takePadded(fields.getUint32(CALL_CHUNK_KEPT, true));
    return { entry, address: fields.getUint32(CHUNK_DATA, true), bytes };
  }

  #readEvent(): RecordedEvent {
    const entry = this.#take(EVENT_ENTRY_BYTES);
    return { entry, row: this.#readRow(viewOf(entry).getUint32(EVENT_ENTRY_FLOW, true)) };
  }

  #readRow(flow: number): FlowRow {
    return { flow, bytes: this.#take(this.#word(CALL_ROW_BYTES)) };
  }

  #word(offset: number): number {
    return this.#view.getUint32(offset, true);
  }

  #takePadded(bytes: number): Uint8Array {
    return this.#take(Math.ceil(bytes / 8) * 8).subarray(0, bytes);
  }

  #take(bytes: number): Uint8Array {
    if (this.#at + bytes > this.#call.length) throw new RangeError("a call is cut off");
    this.#at += bytes;
    return this.#call.subarray(this.#at - bytes, this.#at);
  }
}
