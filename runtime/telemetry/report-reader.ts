// Reads the reports of a running lane (native/src/report_ring.h) from another process, and without a way to disturb it:
// who reads too slowly loses the oldest, and is told how many.
import { type FlowReport, readFlowReport } from "../dataplane/flow-reports.ts";
import { nameInLane } from "../dataplane/lane-files.ts";
import {
  engineDropReasons,
  outcomeKinds,
  REPORT_BLOCK_BYTES,
  REPORT_BYTES,
  REPORT_DROP_BYTES,
  REPORT_DROP_DETAIL,
  REPORT_DROP_ENGINE,
  REPORT_DROP_HOP,
  REPORT_DROP_KEPT,
  REPORT_DROP_KIND,
  REPORT_DROP_LENGTH,
  REPORT_DROP_LINK,
  REPORT_DROP_NUMBER,
  REPORT_DROP_ONE_OF,
  REPORT_DROP_PORT,
  REPORT_DROP_REASON,
  REPORT_DROP_TIME,
  REPORT_EVENT_BIT,
  REPORT_EVENT_BYTES,
  REPORT_EVENT_FUNCTION,
  REPORT_EVENT_VALUE,
  REPORT_FLOW,
  REPORT_HEAD_BYTES,
  REPORT_HEAD_OFFSET,
  REPORT_HEADER_BYTES,
  REPORT_KIND,
  REPORT_LAYOUT,
  REPORT_LAYOUT_OFFSET,
  REPORT_NAMES,
  REPORT_RESERVED_OFFSET,
  REPORT_RING_BYTES,
  REPORT_SEQUENCE,
  REPORT_SEQUENCE_OFFSET,
  REPORT_SERIAL,
  reportKinds,
} from "../dataplane/layout.ts";
import type { NativeAddon } from "../dataplane/native.ts";
import { type ReportNames, readReportNames } from "../dataplane/report-names.ts";
import { REPORTS } from "../dataplane/reports.ts";
import { SluiceError } from "../errors.ts";
import type { ExportedColumn } from "./flow-lines.ts";
import { numberOutside } from "./flow-tables.ts";

/** A flow that ended. */
export interface EndedFlow {
  readonly kind: "flow";
  readonly timeNs: bigint;
  /** Its number in the table until then. */
  readonly number: number;
  readonly flow: FlowReport;
  readonly columns: readonly ExportedColumn[];
  readonly labels: readonly string[];
}

export interface SampledDrop {
  readonly kind: "drop";
  readonly timeNs: bigint;
  readonly port: string;
  /** Undefined: the engine. */
  readonly function: string | undefined;
  readonly reason: string;
  /** "fault": the function failed. */
  readonly outcome: string;
  /** The flow's serial, 0: none. */
  readonly flow: number;
  /** Of the frame, among all that the lane received. */
  readonly number: number;
  readonly link: number;
  readonly length: number;
  /** Its first bytes. */
  readonly bytes: Uint8Array;
  /** One of so many drops was to be reported. */
  readonly oneOf: number;
}

/** An event that a function raised. */
export interface RaisedEvent {
  readonly kind: "event";
  readonly timeNs: bigint;
  readonly function: string;
  readonly event: string;
  readonly value: number;
  /** As it was then; without columns. */
  readonly flow: FlowReport;
  readonly labels: readonly string[];
}

export type Report = EndedFlow | SampledDrop | RaisedEvent;

export type ReportStart = "next" | "oldest" | ReportReader["position"];

/** After so many reports no other block is read in one call. */
const READ_AT_ONCE = 4000;
const FLOW_TIME = 8;

export class ReportReader {
  readonly #folder: string;
  readonly #words: BigUint64Array;
  readonly #ring: Uint8Array;
  readonly #names = new Map<number, ReportNames>();
  readonly #lane: number;
  readonly #lanes: number;
  /** Of the next report, in bytes since the ring was made, and its number. */
  #tail: bigint;
  #next: bigint;
  #lost = 0;

  /** Begins with the next report, the oldest that is there, or where another reader stopped. Throws system-call, or not-supported. */
  constructor(
    native: Pick<NativeAddon, "attachSegment">,
    folder: string,
    from: ReportStart = "next",
    { lane, lanes }: { readonly lane: number; readonly lanes: number } = { lane: 0, lanes: 1 },
  ) {
    const { buffer } = native.attachSegment(`${folder}/${nameInLane(REPORTS, lane)}`);
    this.#folder = folder;
    this.#lane = lane;
    this.#lanes = lanes;
    this.#words = new BigUint64Array(buffer, 0, REPORT_HEADER_BYTES / 8);
    this.#ring = new Uint8Array(buffer, REPORT_HEADER_BYTES, REPORT_RING_BYTES);
    const layout = Number(this.#word(REPORT_LAYOUT_OFFSET));
    if (layout !== REPORT_LAYOUT) {
      const what = `its reports have the layout ${layout}, and this version reads ${REPORT_LAYOUT}`;
      throw new SluiceError({ code: "not-supported", where: folder, what });
    }
    if (typeof from === "object") [this.#tail, this.#next] = [from.tail, from.next];
    else if (from === "next")
      [this.#tail, this.#next] = [this.#word(REPORT_HEAD_OFFSET), this.#word(REPORT_SEQUENCE_OFFSET)];
    // Unknown until one is read; what is lost before that is not counted then.
    else [this.#tail, this.#next] = [this.#oldest, -1n];
  }

  /** Up to where reports were read. */
  get position(): { readonly tail: bigint; readonly next: bigint } {
    return { tail: this.#tail, next: this.#next };
  }

  /** Reports that were overwritten before they were read. */
  get lost(): number {
    return this.#lost;
  }

  /** What has come since the last call, or some of it: oldest first; none only if there is nothing. */
  read(): Report[] {
    const reports: Report[] = [];
    while (reports.length < READ_AT_ONCE) {
      const copy = this.#copyBlock();
      if (copy === null) break;
      this.#readBlock(copy, reports);
    }
    return reports;
  }

  /** Up to the end of a block; null if there is nothing. */
  #copyBlock(): DataView | null {
    const head = this.#word(REPORT_HEAD_OFFSET);
    if (head === this.#tail) return null;
    if (head < this.#tail || this.#isOvertaken) this.#tail = this.#oldest;
    const at = Number(this.#tail % BigInt(REPORT_RING_BYTES));
    const left = REPORT_BLOCK_BYTES - (at % REPORT_BLOCK_BYTES);
    const copy = this.#ring.slice(at, at + Math.min(left, Number(head - this.#tail)));
    // Whatever was written meanwhile is not what it was.
    if (!this.#isOvertaken) return new DataView(copy.buffer);
    this.#tail = this.#oldest;
    return this.#copyBlock();
  }

  #readBlock(copy: DataView, reports: Report[]): void {
    for (let at = 0; at < copy.byteLength; ) {
      const bytes = copy.getUint32(at + REPORT_BYTES, true);
      const kind = reportKinds[copy.getUint32(at + REPORT_KIND, true)];
      if (bytes === 0 || at + bytes > copy.byteLength || kind === undefined) {
        // The lane's process died while it wrote: what follows begins with the next block.
        this.#tail += BigInt(copy.byteLength - at);
        return;
      }
      this.#tail += BigInt(bytes);
      if (kind !== "padding") reports.push(this.#readReport(kind, new DataView(copy.buffer, at, bytes)));
      at += bytes;
    }
  }

  #readReport(kind: "flow" | "drop" | "event", view: DataView): Report {
    const sequence = view.getBigUint64(REPORT_SEQUENCE, true);
    if (this.#next >= 0n && sequence > this.#next) this.#lost += Number(sequence - this.#next);
    this.#next = sequence + 1n;
    const names = this.#namesOf(view.getUint32(REPORT_NAMES, true));
    const content = new DataView(view.buffer, view.byteOffset + REPORT_HEAD_BYTES, view.byteLength - REPORT_HEAD_BYTES);
    const outside = (number: number) => numberOutside(number, this.#lane, this.#lanes);
    const rename = (flow: FlowReport): FlowReport => ({ ...flow, serial: outside(flow.serial) });
    if (kind === "drop") return readDrop(content, outside(view.getUint32(REPORT_SERIAL, true)), names);
    if (kind === "event") {
      const event = readEvent(content, names);
      return { ...event, flow: rename(event.flow) };
    }
    return {
      kind,
      timeNs: content.getBigUint64(FLOW_TIME, true),
      number: outside(view.getUint32(REPORT_FLOW, true)),
      flow: rename(readFlowReport(content, names.columns.length)),
      columns: names.columns,
      labels: names.labels,
    };
  }

  #namesOf(id: number): ReportNames {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    this.#names.clear();
    for (const names of readReportNames(this.#folder)) this.#names.set(names.id, names);
    const found = this.#names.get(id) ?? { ...nameless, id };
    this.#names.set(id, found);
    return found;
  }

  get #isOvertaken(): boolean {
    return this.#tail + BigInt(REPORT_RING_BYTES) < this.#word(REPORT_RESERVED_OFFSET);
  }

  /** The first block that is whole. */
  get #oldest(): bigint {
    const reserved = this.#word(REPORT_RESERVED_OFFSET);
    const first = reserved - BigInt(REPORT_RING_BYTES);
    if (first <= 0n) return 0n;
    const block = BigInt(REPORT_BLOCK_BYTES);
    return ((first + block - 1n) / block) * block;
  }

  #word(offset: number): bigint {
    return Atomics.load(this.#words, offset / 8);
  }
}

/** Of a generation that is too long ago. */
const nameless: ReportNames = {
  ...{ id: 0, generation: 0, ports: [], functions: [], hops: [], events: [], labels: [], columns: [] },
};

function readDrop(content: DataView, flow: number, names: ReportNames): SampledDrop {
  const hop = content.getInt16(REPORT_DROP_HOP, true);
  const byEngine = content.getUint8(REPORT_DROP_ENGINE) === 1;
  const reason = content.getUint16(REPORT_DROP_REASON, true);
  const detail = content.getUint32(REPORT_DROP_DETAIL, true);
  const owner = hop < 0 ? undefined : names.functions[names.hops[hop] ?? -1];
  const name = (byEngine ? engineDropReasons[reason] : owner?.reasons[reason]) ?? `reason ${reason}`;
  const kept = content.getUint32(REPORT_DROP_KEPT, true);
  return {
    kind: "drop",
    timeNs: content.getBigUint64(REPORT_DROP_TIME, true),
    port: names.ports[content.getUint8(REPORT_DROP_PORT)] ?? "",
    function: hop < 0 ? undefined : (owner?.name ?? `hop ${hop}`),
    reason: detail === 0 ? name : `${name}:${detail}`,
    outcome: outcomeKinds[content.getUint8(REPORT_DROP_KIND)] ?? "drop",
    flow,
    number: Number(content.getBigUint64(REPORT_DROP_NUMBER, true)),
    link: content.getUint8(REPORT_DROP_LINK),
    length: content.getUint32(REPORT_DROP_LENGTH, true),
    bytes: new Uint8Array(content.buffer, content.byteOffset + REPORT_DROP_BYTES, kept),
    oneOf: content.getUint32(REPORT_DROP_ONE_OF, true),
  };
}

function readEvent(content: DataView, names: ReportNames): RaisedEvent {
  const bit = 31 - Math.clz32(content.getUint32(REPORT_EVENT_BIT, true));
  const index = content.getUint32(REPORT_EVENT_FUNCTION, true);
  const flow = new DataView(content.buffer, content.byteOffset + REPORT_EVENT_BYTES);
  return {
    kind: "event",
    timeNs: flow.getBigUint64(FLOW_TIME, true),
    function: names.functions[index]?.name ?? `function ${index}`,
    event: names.events[bit] || `event ${bit}`,
    value: content.getUint32(REPORT_EVENT_VALUE, true),
    flow: readFlowReport(flow, 0),
    labels: names.labels,
  };
}
