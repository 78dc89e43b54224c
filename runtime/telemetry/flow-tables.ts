// The flow tables of a chain's lanes as one. With several lanes a flow's number says which it is in.
import { nameInLanes } from "../dataplane/lane-files.ts";
import type { NativeAddon } from "../dataplane/native.ts";
import type { EngineDescription } from "../dataplane/state-folder.ts";
import { FlowTableView, type LiveFlow } from "./flow-table-view.ts";

type Native = Pick<NativeAddon, "attachSegment" | "flowStatesOffset">;
type TableSize = Pick<EngineDescription, "flowCapacity"> & Partial<Pick<EngineDescription, "lanes">>;

/** What `number` in the table of one of `lanes` lanes is called outside; 0 stays 0. */
export function numberOutside(number: number, lane: number, lanes: number): number {
  return number === 0 ? 0 : (number - 1) * lanes + lane + 1;
}

export class FlowTables {
  /** By lane. */
  readonly #views: readonly FlowTableView[];

  /** Throws system-call if the engine has just ended. */
  static attach(native: Native, folder: string, { flowCapacity, lanes = 1 }: TableSize): FlowTables {
    const offset = native.flowStatesOffset(flowCapacity);
    const segments = nameInLanes("flows", lanes).map((file) => native.attachSegment(`${folder}/${file}`));
    return new FlowTables(segments.map((segment) => new FlowTableView(segment, flowCapacity, offset)));
  }

  constructor(views: readonly FlowTableView[]) {
    this.#views = views;
  }

  /** How many of the flows began at `timeNs` (since 1970) or later. */
  countSince(timeNs: bigint): number {
    return this.#views.reduce((sum, view) => sum + view.countSince(timeNs), 0);
  }

  /** Live flows by the name of their state, all states. */
  countByState(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const view of this.#views) {
      for (const [state, count] of Object.entries(view.countByState())) counts[state] = (counts[state] ?? 0) + count;
    }
    return counts;
  }

  /** The highest number that a flow has had. */
  get used(): number {
    const lanes = this.#views.length;
    return Math.max(...this.#views.map((view, lane) => numberOutside(view.used, lane, lanes)));
  }

  *flows(): Generator<LiveFlow> {
    for (const [lane, view] of this.#views.entries()) {
      for (const flow of view.flows()) yield this.#rename(flow, lane);
    }
  }

  /** Those that live and are wanted, by number and by when they began (ms since 1970). */
  *flowsBetween(
    first: number,
    last: number,
    isWanted: (flow: number, startMs: number) => boolean,
  ): Generator<LiveFlow> {
    const lanes = this.#views.length;
    for (const [lane, view] of this.#views.entries()) {
      const from = Math.ceil((first - 1 - lane) / lanes) + 1;
      const to = Math.floor((last - 1 - lane) / lanes) + 1;
      const isOwnWanted = (flow: number, startMs: number) => isWanted(numberOutside(flow, lane, lanes), startMs);
      for (const flow of view.flowsBetween(Math.max(1, from), Math.min(to, view.used), isOwnWanted)) {
        yield this.#rename(flow, lane);
      }
    }
  }

  isLive(flow: number): boolean {
    const lanes = this.#views.length;
    const view = this.#views[(flow - 1) % lanes];
    return view?.isLive(Math.floor((flow - 1) / lanes) + 1) ?? false;
  }

  #rename(flow: LiveFlow, lane: number): LiveFlow {
    return { ...flow, flow: numberOutside(flow.flow, lane, this.#views.length) };
  }
}
