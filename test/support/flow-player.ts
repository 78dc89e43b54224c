// Plays the steps of flow-arbitraries.ts through a real lane, one frame per batch, and says what became of them.
import * as abi from "../../nfs/sdk/abi.ts";
import { planFlows } from "../../runtime/chain/flows.ts";
import type { FlowsDeclaration } from "../../runtime/chain/flows-schema.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import { readFlowReports } from "../../runtime/dataplane/flow-reports.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { FLOW_REPORT_BYTES, functionCounters, SHARED_RECORDS_OFFSET } from "../../runtime/dataplane/layout.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { type Outcome, readOutcomes } from "../../runtime/dataplane/outcomes.ts";
import { admit } from "../../runtime/function/admission.ts";
import { compileFunction } from "../../runtime/function/compile.ts";
import { validateManifest } from "../../runtime/function/manifest.ts";
import { planAlone } from "../../runtime/testing/function-plan.ts";
import { type FlowStep, frameOf, type PlayedStep } from "./flow-arbitraries.ts";
import type { ReplyTuple } from "./flow-model.ts";
import { type SeenEnd, type SeenFrame, type SeenStep, seeEnd } from "./flow-sight.ts";
import { makeFolder } from "./temporary-folder.ts";

const CONTROL_TYPE = 0x88b5;
/** In a control frame, from here on: u32 flow, u32 IP version (0: only time passes), the body of MESSAGE_BIND. */
const CONTROL_OFFSET = 16;
const CONTROL_BYTES = 60;

const bindingFunction = `
import { batch, Flow, outbox } from "sluice/sdk";
export { nf_abi } from "sluice/sdk/exports";

function bind(at: usize): void {
  const flow = changetype<Flow>(<usize>load<u32>(at));
  const version = load<u32>(at, 4);
  const sourcePort: u32 = load<u16>(at, 40);
  const destinationPort: u32 = load<u16>(at, 42);
  if (version == 4) {
    outbox.bind4(flow, bswap<u32>(load<u32>(at, 8)), sourcePort, bswap<u32>(load<u32>(at, 24)), destinationPort);
  } else if (version == 6) {
    outbox.bind6(
      flow,
      bswap<u64>(load<u64>(at, 8)),
      bswap<u64>(load<u64>(at, 16)),
      sourcePort,
      bswap<u64>(load<u64>(at, 24)),
      bswap<u64>(load<u64>(at, 32)),
      destinationPort,
    );
  }
}

export function nf_configure(json: string): bool {
  return json.length > 0;
}

export function nf_process(): void {
  for (let i = 0; i < batch.count; i++) {
    const packet = batch.packet(i);
    if (packet.etherType == ${CONTROL_TYPE}) bind(packet.frame + ${CONTROL_OFFSET});
  }
}`;

/** A lane whose ports have these zones. */
export async function openFlowPlayer(zones: readonly number[], flows: FlowsDeclaration): Promise<FlowPlayer> {
  const folder = makeFolder({ "binder/index.ts": bindingFunction });
  const { wasm } = await compileFunction(`${folder}/binder`);
  const base = { name: "binder", version: "1.0.0", abi: 1, description: "Binds.", memoryPages: 16 };
  const manifest = validateManifest(JSON.stringify({ ...base, frames: "read" }), "binder/manifest.json");
  admit(wasm, manifest);
  const names = zones.map((_, index) => `port${index}`);
  const alone = planAlone(manifest, { flows }, names, 0);
  const plan = {
    ...alone,
    ports: alone.ports.map((port, index) => ({ ...port, zone: zones[index] as number })),
    hops: alone.hops.map((hop) => ({ ...hop, next: { kind: "none" as const } })),
    flows: planFlows(flows),
  };
  const lane = openLane({
    native: loadAddon(),
    plan,
    packages: [{ manifest, wasm, origin: folder }],
    ...{ slots: 256, slotBytes: 2048, batchLimit: 1, keepOutcomes: true, virtualClock: true },
    openPort: (native) => native.openMemoryPort(),
  });
  return new FlowPlayer(lane);
}

/** In a report: u64, when the flow ended (native/src/flow_engine.h). */
const END_TIME = 8;
const START_NS = 1_000_000_000_000_000_000n;
const MILLISECOND_NS = 1_000_000n;
/** Longer than any timeout, so that a sequence finds nothing of the one before. */
const PAUSE_NS = 7_200_000_000_000n;

/** Serves any number of sequences; time goes on from one to the next. */
export class FlowPlayer {
  readonly lane: Lane;
  readonly #records: DataView;
  /** Where refused messages are counted. */
  readonly #refused: number;
  #timeNs = START_NS;
  #startNs = START_NS;
  /** Flows that began before this sequence. */
  #flowsBefore = 0;
  #entered = 0;
  #ended = 0;
  /** Frames of the sequence by their number in the lane. */
  #frames = new Map<number, number>();
  /** Numbers of flows in the engine by those of the sequence. */
  #numbers = new Map<number, number>();

  constructor(lane: Lane) {
    this.lane = lane;
    this.#records = new DataView(lane.memory.shared.buffer, SHARED_RECORDS_OFFSET);
    this.#refused = (lane.counterLayout.functions[0] as number) + functionCounters.indexOf("refused_messages");
  }

  /** What became of each step, and at last what ends when all timers have run out. */
  play(steps: readonly FlowStep[], model: readonly PlayedStep[]): SeenStep[] {
    this.#timeNs += PAUSE_NS;
    this.#startNs = this.#timeNs;
    this.#flowsBefore = this.#ended;
    this.#frames.clear();
    this.#numbers.clear();
    const seen = steps.map((step, index) => this.#play(step, model[index] as PlayedStep));
    return [...seen, this.#runOut()];
  }

  close(): void {
    this.lane.close();
  }

  #play(step: FlowStep, model: PlayedStep): SeenStep {
    this.#timeNs += BigInt(step.waitMs) * MILLISECOND_NS;
    const frames: SeenFrame[] = step.waitMs > 0 ? this.#control(0, undefined) : [];
    if (step.kind === "frame") {
      this.#frames.set(this.#entered + 1, this.#frames.size + 1);
      frames.push(...this.#enter(step.port, frameOf(step.line)));
    }
    if (step.kind !== "bind") return { frames, ended: this.#takeEnds() };
    const before = this.#refusedMessages;
    const flow = this.#numbers.get(model.bound?.flow ?? 0);
    const isSent = flow !== undefined && model.bound?.isAsked === true;
    if (isSent) frames.push(...this.#control(flow, step.reply));
    return { frames, ended: this.#takeEnds(), bound: isSent && this.#refusedMessages === before };
  }

  #runOut(): SeenStep {
    const frames: SeenFrame[] = [];
    while (this.lane.native.runOut()) frames.push(...this.#takeFrames());
    return { frames, ended: this.#takeEnds() };
  }

  get #refusedMessages(): bigint {
    return this.lane.counters[this.#refused] as bigint;
  }

  /** A frame of no flow: time passes, or the function binds. */
  #control(flow: number, reply: ReplyTuple | undefined): SeenFrame[] {
    const frame = new Uint8Array(CONTROL_BYTES);
    const view = new DataView(frame.buffer);
    view.setUint16(12, CONTROL_TYPE);
    if (reply !== undefined) writeBind(view, flow, reply);
    return this.#enter(0, frame);
  }

  #enter(port: number, bytes: Uint8Array): SeenFrame[] {
    this.#entered += 1;
    (this.lane.ports[port] as MemoryPort).inject(bytes, this.#timeNs);
    const frames: SeenFrame[] = [];
    while (turn(this.lane)) frames.push(...this.#takeFrames());
    return frames;
  }

  #takeFrames(): SeenFrame[] {
    return readOutcomes(this.lane).flatMap((outcome) => {
      const frame = this.#frames.get(outcome.number);
      return frame === undefined ? [] : [this.#see(outcome, frame)];
    });
  }

  #see({ kind, reason, flow, record }: Outcome, frame: number): SeenFrame {
    const at = record * abi.RECORD_BYTES;
    const events = this.#records.getUint32(at + abi.RECORD_EVENTS, true);
    const number = flow === 0 ? 0 : flow - this.#flowsBefore;
    const isIcmpError = (events & abi.EVENT_ICMP_ERROR) !== 0;
    if (number > 0) this.#numbers.set(number, this.#records.getUint32(at + abi.RECORD_FLOW, true));
    return {
      frame,
      verdict: kind === "consume" ? "pass" : "drop",
      reason,
      flow: number,
      direction: this.#records.getUint8(at + abi.RECORD_DIRECTION),
      isIcmpError,
      started: (events & abi.EVENT_START) !== 0,
    };
  }

  #takeEnds(): SeenEnd[] {
    const bytes = this.lane.native.takeFlowReports();
    const reports = readFlowReports(bytes, 0);
    this.#ended += reports.length;
    const view = new DataView(bytes ?? new ArrayBuffer());
    const seen = reports.map((report, index) =>
      seeEnd(report, view.getBigUint64(index * FLOW_REPORT_BYTES + END_TIME, true), this.#flowsBefore, this.#startNs),
    );
    return seen.toSorted((a, b) => a.flow - b.flow);
  }
}

function writeBind(view: DataView, flow: number, { source, destination }: ReplyTuple): void {
  const bytes = new Uint8Array(view.buffer, CONTROL_OFFSET);
  view.setUint32(CONTROL_OFFSET, flow, true);
  view.setUint32(CONTROL_OFFSET + 4, source.address.length === 8 ? 4 : 6, true);
  bytes.set(Uint8Array.fromHex(source.address), 8);
  bytes.set(Uint8Array.fromHex(destination.address), 24);
  view.setUint16(CONTROL_OFFSET + 40, source.port, true);
  view.setUint16(CONTROL_OFFSET + 42, destination.port, true);
}
