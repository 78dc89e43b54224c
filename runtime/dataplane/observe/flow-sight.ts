// A flow as a lookout's lane has it: the engine's record, and the columns of the chain.
import { FLOW_BYTES, FLOW_LABELS, FLOW_OCTETS, FLOW_PACKETS, FLOW_STATE } from "../../../nfs/sdk/abi.ts";
import type { ColumnType, Plan, PlannedColumn } from "../../chain/plan.ts";
import { nameColumn } from "../flow-memory.ts";
import { flowStates } from "../flow-reports.ts";
import { PAGE_BYTES } from "../memory-map.ts";
import type { NativeAddon } from "../native.ts";
import type { SegmentStore } from "../segment-store.ts";
import type { FlowView, TracedHop } from "./trace-events.ts";

/** By index of plan.columns. */
export type ColumnValues = readonly (number | string)[];

export class FlowSight {
  readonly #plan: Plan;
  readonly #states: DataView;
  readonly #columns: readonly DataView[];

  constructor(native: NativeAddon, plan: Plan, store: SegmentStore) {
    const { capacity } = plan.flows;
    const open = (name: string, bytes: number) => store.open(name, Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES).buffer;
    this.#plan = plan;
    this.#states = new DataView(open("flows", native.flowTableBytes(capacity)), native.flowStatesOffset(capacity));
    this.#columns = plan.columns.map((each) => new DataView(open(nameColumn(each), (capacity + 1) * each.bytes)));
  }

  /** Null if there is no such flow. */
  view(flow: number): FlowView | null {
    const at = flow * FLOW_BYTES;
    const state = flow === 0 ? 0 : this.#states.getUint8(at + FLOW_STATE);
    if (state === 0) return null;
    const pair = (field: number) => [0, 8].map((side) => Number(this.#states.getBigUint64(at + field + side, true)));
    return {
      state: flowStates[state] ?? "unknown",
      packets: pair(FLOW_PACKETS),
      bytes: pair(FLOW_OCTETS),
      labels: namesOfBits(this.#states.getUint32(at + FLOW_LABELS, true), this.#plan.labels),
    };
  }

  values(flow: number): ColumnValues {
    if (flow === 0) return [];
    return this.#plan.columns.map(({ type, bytes }, index) =>
      readValue(this.#columns[index] as DataView, flow * bytes, type),
    );
  }

  /** Those that are not the same. */
  compare(before: ColumnValues, after: ColumnValues): TracedHop["columns"] {
    return this.#plan.columns.flatMap(({ name, type }: PlannedColumn, index) => {
      const [was, is] = [before[index], after[index]];
      return was === undefined || is === undefined || was === is ? [] : [{ name, type, before: was, after: is }];
    });
  }
}

/** The names of the bits that are set. */
export function namesOfBits(mask: number, names: readonly string[]): string[] {
  return names.filter((name, bit) => name !== "" && ((mask >>> bit) & 1) === 1);
}

const readers: Readonly<Record<ColumnType, (view: DataView, at: number) => number | string>> = {
  u8: (view, at) => view.getUint8(at),
  u16: (view, at) => view.getUint16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  u64: (view, at) => view.getBigUint64(at, true).toString(),
  i32: (view, at) => view.getInt32(at, true),
  i64: (view, at) => view.getBigInt64(at, true).toString(),
  f32: (view, at) => asNumber(view.getFloat32(at, true)),
  f64: (view, at) => asNumber(view.getFloat64(at, true)),
};

/** JSON has no infinities. */
function asNumber(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

function readValue(view: DataView, at: number, type: ColumnType): number | string {
  return readers[type](view, at);
}
