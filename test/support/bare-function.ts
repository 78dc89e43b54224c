// A function without the host: its windows are ordinary memory, so that a test can put any record there.
import { type ASUtil, instantiateSync } from "@assemblyscript/loader";
import * as abi from "../../nfs/sdk/abi.ts";
import {
  BATCH_ADDRESS,
  COUNTERS_ADDRESS,
  FRAMES_ADDRESS,
  RECORDS_ADDRESS,
  RESULTS_ADDRESS,
} from "../../runtime/dataplane/memory-map.ts";
import type { Header } from "./rule-sets.ts";

const SLOT_BYTES = 2048;

interface FunctionExports extends Record<string, unknown> {
  nf_configure(json: number): number;
  nf_process(): void;
}

export interface BareResult {
  readonly verdict: number;
  readonly reason: string;
  readonly detail: number;
}

export class BareFunction {
  readonly exports: FunctionExports & ASUtil;
  /** nf_process. */
  readonly run: () => void;
  readonly memory: WebAssembly.Memory;
  readonly bytes: DataView;
  /** Faults of the configuration, `pointer: what`. */
  readonly faults: string[] = [];
  readonly logged: string[] = [];
  readonly counters: string[] = [];
  readonly reasons = ["unspecified"];
  readonly accepted: boolean;

  constructor(wasm: Uint8Array, memoryPages: number, config: unknown) {
    const pages = abi.MEMORY_BASE / abi.WASM_PAGE_BYTES + memoryPages;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.bytes = new DataView(this.memory.buffer);
    this.#writeContext();
    const text = (pointer: number) => this.#readString(pointer);
    const abort = (message: number) => {
      throw new Error(message === 0 ? "abort" : text(message));
    };
    const sluice = {
      declare_counter: (name: number, labels: number) => this.counters.push(`${text(name)}{${text(labels)}}`) - 1,
      declare_reason: (name: number) => this.reasons.push(text(name)) - 1,
      port: () => -1,
      branch: () => -1,
      config_error: (pointer: number, what: number) => void this.faults.push(`${text(pointer)}: ${text(what)}`),
      log: (_level: number, message: number) => void this.logged.push(text(message)),
    };
    const imports = { env: { memory: this.memory, abort }, sluice };
    const { instance, exports } = instantiateSync<FunctionExports>(wasm as Uint8Array<ArrayBuffer>, imports);
    this.exports = exports;
    // The loader wraps what it exports; this is what the data plane calls.
    this.run = (instance.exports as FunctionExports).nf_process;
    this.accepted = this.exports.nf_configure(this.exports.__newString(JSON.stringify(config))) !== 0;
  }

  #writeContext(): void {
    const set = (offset: number, value: number) => this.bytes.setUint32(abi.CONTEXT_ADDRESS + offset, value, true);
    set(abi.CONTEXT_ABI_VERSION, abi.ABI_VERSION);
    set(abi.CONTEXT_FRAMES_ADDRESS, FRAMES_ADDRESS);
    set(abi.CONTEXT_FRAMES_BYTES, abi.BATCH_CAPACITY * SLOT_BYTES);
    set(abi.CONTEXT_SLOT_BYTES, SLOT_BYTES);
    set(abi.CONTEXT_RECORDS_ADDRESS, RECORDS_ADDRESS);
    set(abi.CONTEXT_BATCH_ADDRESS, BATCH_ADDRESS);
    set(abi.CONTEXT_RESULTS_ADDRESS, RESULTS_ADDRESS);
    set(abi.CONTEXT_COUNTERS_ADDRESS, COUNTERS_ADDRESS);
    set(abi.CONTEXT_LANE_COUNT, 1);
    set(abi.CONTEXT_PORT_COUNT, 2);
  }

  #readString(pointer: number): string {
    const bytes = this.bytes.getUint32(pointer - 4, true);
    return Buffer.from(this.memory.buffer, pointer, bytes).toString("utf16le");
  }

  /** One call for all headers, at most BATCH_CAPACITY; the records in reverse order, since input[] says which is whose. */
  process(headers: readonly Header[]): BareResult[] {
    const last = headers.length - 1;
    this.bytes.setUint32(BATCH_ADDRESS + abi.BATCH_COUNT, headers.length, true);
    headers.forEach((header, index) => {
      this.bytes.setUint16(BATCH_ADDRESS + abi.BATCH_INPUT + index * 2, last - index, true);
      this.#writeRecord(last - index, header);
    });
    new Uint8Array(this.memory.buffer, RESULTS_ADDRESS, abi.BATCH_CAPACITY * abi.RESULT_BYTES).fill(0);
    this.run();
    return headers.map((_, index) => this.#readResult(RESULTS_ADDRESS + index * abi.RESULT_BYTES));
  }

  /** The results that `process` leaves, whoever that is, for the batch as it stands. */
  resultsOf(process: () => void): Buffer {
    const results = Buffer.from(this.memory.buffer, RESULTS_ADDRESS, abi.BATCH_CAPACITY * abi.RESULT_BYTES);
    results.fill(0);
    process();
    return Buffer.from(results);
  }

  #readResult(result: number): BareResult {
    return {
      verdict: this.bytes.getUint8(result + abi.RESULT_VERDICT),
      reason: this.reasons[this.bytes.getUint16(result + abi.RESULT_REASON, true)] ?? "",
      detail: this.bytes.getUint32(result + abi.RESULT_VALUE, true),
    };
  }

  counter(label: string): number {
    const index = this.counters.indexOf(label);
    if (index < 0) throw new RangeError(`there is no counter ${label}`);
    return Number(this.bytes.getBigUint64(COUNTERS_ADDRESS + index * abi.COUNTER_BYTES, true));
  }

  #writeRecord(index: number, header: Header): void {
    const frame = FRAMES_ADDRESS + index * SLOT_BYTES;
    writeHeader(this.bytes, RECORDS_ADDRESS + index * abi.RECORD_BYTES, frame, header);
  }
}

const L3_OFFSET = 14;

/** A record at `record`, as the host would write it, and what of the frame at `frame` functions read beside it. */
export function writeHeader(bytes: DataView, record: number, frame: number, header: Header): void {
  const set8 = (offset: number, value: number) => bytes.setUint8(record + offset, value);
  const set16 = (offset: number, value: number) => bytes.setUint16(record + offset, value, true);
  const set32 = (offset: number, value: number) => bytes.setUint32(record + offset, value, true);
  for (let i = 0; i < abi.RECORD_BYTES; i += 4) set32(i, 0);
  const isIp = header.ipVersion !== 0;
  const isFirst = isIp && header.fragmentOffset === 0;
  const l4Offset = L3_OFFSET + (header.ipVersion === 6 ? 40 : 20);
  set32(abi.RECORD_FRAME, frame);
  set32(abi.RECORD_LENGTH, 128);
  set32(abi.RECORD_WIRE_LENGTH, 128);
  set16(abi.RECORD_L3_OFFSET, isIp ? L3_OFFSET : abi.OFFSET_NONE);
  set16(abi.RECORD_L4_OFFSET, isFirst ? l4Offset : abi.OFFSET_NONE);
  set16(abi.RECORD_PAYLOAD_OFFSET, abi.OFFSET_NONE);
  set16(abi.RECORD_ETHER_TYPE, header.etherType);
  set8(abi.RECORD_IP_PROTO, isIp ? header.ipProto : 0);
  set8(abi.RECORD_IP_VERSION, header.ipVersion);
  set16(abi.RECORD_FLAGS, header.fragmentOffset > 0 ? abi.RECORD_FLAG_FRAGMENT : 0);
  set8(abi.RECORD_VLAN_COUNT, header.vlan >= 0 ? 1 : 0);
  set16(abi.RECORD_OUTER_TCI, header.vlan >= 0 ? 0x2000 | header.vlan : 0);
  set16(abi.RECORD_SOURCE_PORT, isFirst ? header.sourcePort : 0);
  set16(abi.RECORD_DESTINATION_PORT, isFirst ? header.destinationPort : 0);
  set8(abi.RECORD_TRAFFIC_CLASS, isIp ? (header.dscp << 2) | 1 : 0);
  set16(abi.RECORD_FRAGMENT_OFFSET, header.fragmentOffset);
  if (header.ipVersion === 4) {
    bytes.setUint32(frame + L3_OFFSET + 12, Number(header.source));
    bytes.setUint32(frame + L3_OFFSET + 16, Number(header.destination));
  } else if (header.ipVersion === 6) {
    bytes.setUint8(frame + L3_OFFSET + 7, 64);
    write128(bytes, frame + L3_OFFSET + 8, header.source);
    write128(bytes, frame + L3_OFFSET + 24, header.destination);
  }
}

function write128(bytes: DataView, offset: number, value: bigint): void {
  bytes.setBigUint64(offset, value >> 64n);
  bytes.setBigUint64(offset + 8, BigInt.asUintN(64, value));
}
