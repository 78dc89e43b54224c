// Makes of a watched turn what a trace tells of each packet.
import {
  RECORD_BYTES,
  RECORD_EVENTS,
  RECORD_FRAME,
  RECORD_LENGTH,
  RESULT_FLAG_MARK,
  VERDICT_BRANCH,
  VERDICT_DROP,
  VERDICT_HOST,
  VERDICT_NEXT,
  VERDICT_TRANSMIT,
} from "../../../nfs/sdk/abi.ts";
import type { Plan, Target } from "../../chain/plan.ts";
import { exitName } from "../exit-name.ts";
import type { Lane } from "../lane.ts";
import { SHARED_RECORDS_OFFSET } from "../layout.ts";
import { FRAMES_ADDRESS } from "../memory-map.ts";
import type { WatchedFrame } from "../native-mirror.ts";
import { type Outcome, readOutcomes } from "../outcomes.ts";
import { nameEnding } from "./endings.ts";
import type { ColumnValues, FlowSight } from "./flow-sight.ts";
import { namesOfBits } from "./flow-sight.ts";
import type { WatchedChain } from "./frame-filter.ts";
import type { FlowView, TracedEnding, TracedHop, TracedPacket } from "./trace-events.ts";
import type { FrameAtHop, HopResult, HopTrap, TurnListener } from "./watched-turn.ts";

interface Story {
  readonly frame: WatchedFrame;
  readonly before: FlowView | null;
  readonly hops: TracedHop[];
  flow: number;
  events: number;
  columns: ColumnValues;
}

const verdicts = new Map<number, TracedHop["verdict"]>([
  [VERDICT_NEXT, "next"],
  [VERDICT_DROP, "drop"],
  [VERDICT_TRANSMIT, "transmit"],
  [VERDICT_BRANCH, "branch"],
  [VERDICT_HOST, "host"],
]);

export class PacketRecorder implements TurnListener {
  readonly #lane: Lane;
  readonly #flows: FlowSight;
  readonly #stories: Map<number, Story>;

  /** Before the turn: flows are as the frames find them. */
  constructor(lane: Lane, flows: FlowSight, watched: readonly WatchedFrame[]) {
    this.#lane = lane;
    this.#flows = flows;
    this.#stories = new Map(
      watched.map((frame) => {
        const before = flows.view(frame.flowBefore);
        return [frame.number, { frame, before, hops: [], flow: 0, events: 0, columns: [] }];
      }),
    );
  }

  came(frame: WatchedFrame, { flow, record }: FrameAtHop): void {
    const story = this.#story(frame);
    story.flow = flow;
    const { shared } = this.#lane.memory;
    const at = SHARED_RECORDS_OFFSET + record * RECORD_BYTES + RECORD_EVENTS;
    story.events = new DataView(shared.buffer).getUint32(at, true);
  }

  before(frame: WatchedFrame, { flow }: FrameAtHop): void {
    this.#story(frame).columns = this.#flows.values(flow);
  }

  after(frame: WatchedFrame, place: FrameAtHop, result: HopResult | HopTrap): void {
    const story = this.#story(frame);
    const columns = this.#flows.compare(story.columns, this.#flows.values(place.flow));
    const { planned } = this.#functionAt(place.hop);
    const named = {
      hop: place.hop,
      function: planned.name,
      package: `${planned.package.name}@${planned.package.version}`,
      rule: null,
      columns,
    };
    story.hops.push("message" in result ? describeTrap(named, result) : this.#describe(named, place, result));
  }

  #describe(named: Named, place: FrameAtHop, result: HopResult): TracedHop {
    const verdict = verdicts.get(result.verdict) ?? "fault";
    const isReasoned = verdict === "drop" || verdict === "host";
    const isChanged = Buffer.compare(place.bytes, result.bytes) !== 0;
    const messages = result.messages.filter(({ flow }) => place.isAlone || (flow !== 0 && flow === place.flow));
    return {
      ...named,
      verdict,
      to: this.#leadsTo(place.hop, result),
      reason: isReasoned ? this.#reason(place.hop, result) : "",
      source: null,
      mark: !isReasoned && (result.flags & RESULT_FLAG_MARK) !== 0 ? result.value : null,
      rewrite: isChanged ? { before: toHex(place.bytes), after: toHex(result.bytes) } : null,
      messages: messages.map(({ kind, what, bytes }) => ({ kind, what, bytes })),
    };
  }

  #reason(hop: number, { reason, value }: HopResult): string {
    const name = this.#functionAt(hop).state.reasons[reason] ?? "unknown";
    return value === 0 ? name : `${name}:${value}`;
  }

  #leadsTo(index: number, { verdict, target }: HopResult): string | null {
    const hop = this.plan.hops[index] as Plan["hops"][number];
    if (verdict === VERDICT_NEXT) return this.#name(hop.next);
    if (verdict === VERDICT_TRANSMIT) return this.plan.ports[target]?.name ?? null;
    const branch = verdict === VERDICT_BRANCH ? hop.branches[target] : undefined;
    return branch === undefined ? null : this.#name(branch);
  }

  #name(target: Target): string | null {
    if (target.kind === "port") return this.plan.ports[target.port]?.name ?? null;
    if (target.kind === "route") return "route";
    return target.kind === "hop" ? this.#functionAt(target.hop).planned.name : null;
  }

  /** After the turn, before the next one. */
  finish(firstNumber: number): TracedPacket[] {
    const outcomes = new Map(readOutcomes(this.#lane).map((outcome) => [outcome.number, outcome]));
    return [...this.#stories.values()].map((story, index) =>
      this.#tell(story, firstNumber + index, outcomes.get(story.frame.number)),
    );
  }

  #tell(story: Story, n: number, outcome: Outcome | undefined): TracedPacket {
    const { frame, flow, hops } = story;
    const events = namesOfBits(story.events, this.plan.events);
    const after = this.#flows.view(flow);
    return {
      kind: "packet",
      n,
      number: frame.liveNumber === 0 ? null : frame.liveNumber,
      timeNs: frame.timeNs.toString(),
      port: this.plan.ports[frame.port]?.name ?? String(frame.port),
      wireLength: frame.wireLength,
      received: toHex(frame.received),
      flow: flow === 0 ? null : { number: frame.liveFlow || flow, events, before: story.before, after },
      hops,
      end: this.#end(outcome),
      live: this.#live(frame),
    };
  }

  #end(outcome: Outcome | undefined): TracedEnding {
    if (outcome === undefined) return { kind: "waits", to: null, function: null, reason: "", bytes: null };
    const { kind, to, function: by, reason, record } = outcome;
    const { shared, umem } = this.#lane.memory;
    const fields = new DataView(shared.buffer, SHARED_RECORDS_OFFSET + record * RECORD_BYTES, RECORD_BYTES);
    const start = fields.getUint32(RECORD_FRAME, true) - FRAMES_ADDRESS;
    const bytes = new Uint8Array(umem.buffer, start, fields.getUint32(RECORD_LENGTH, true));
    const left = kind === "forward";
    return {
      kind,
      to: left ? exitName(this.plan.ports, to) : null,
      function: this.plan.functions[by]?.name ?? null,
      reason,
      bytes: left ? toHex(bytes) : null,
    };
  }

  #live({ live }: WatchedFrame): TracedEnding | null {
    if (live === null) return null;
    return { ...nameEnding(this.chain, live), bytes: live.bytes === null ? null : toHex(live.bytes) };
  }

  get plan(): Plan {
    return this.#lane.plan;
  }

  get chain(): WatchedChain {
    return { plan: this.plan, reasons: this.#lane.functions.map(({ state }) => state.reasons) };
  }

  #functionAt(hop: number): Lane["functions"][number] {
    return this.#lane.functions[this.plan.hops[hop]?.function ?? 0] as Lane["functions"][number];
  }

  #story({ number }: WatchedFrame): Story {
    return this.#stories.get(number) as Story;
  }
}

type Named = Pick<TracedHop, "hop" | "function" | "package" | "rule" | "columns">;

function describeTrap(named: Named, { message, source }: HopTrap): TracedHop {
  return { ...named, verdict: "fault", to: null, reason: message, source, mark: null, rewrite: null, messages: [] };
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}
