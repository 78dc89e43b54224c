/**
 * The flow engine, as simply as it can be said: flows in a `Map`, one frame after the other, one string per key. A
 * reference for tests; its rules come from the documentation (nfs/sdk/abi.ts, the comments of native/src/flow_*.h).
 *
 * What it leaves out: TCP windows and what follows from them (retransmissions, timeouts of what nobody acknowledges),
 * SCTP's handshake, limits of fragments, frames that a capture cut, malformed ones, timeouts that functions set.
 *
 * Its rules, where the documentation leaves room:
 * - A flow ends at its deadline, not after it, and before a frame of the same time.
 * - Flows that are not TCP are new until the other side answers, then established. UDP is assured, and has the timeout
 *   of an established flow, if it is established and goes on 2 s after its start (nf_conntrack); SCTP when it is
 *   established; ICMP and others never. TCP is assured when both sides were heard and the connection is open.
 * - A TCP segment that is invalid or ignored counts, but does not move the deadline, unless nothing but invalid ones
 *   came so far.
 * - A full table gives the place of the oldest unassured flow to a new one; if there is none, the frame is dropped.
 * - An ICMP error counts for a flow of its own, between the router and the host and about two addresses, but tells of
 *   the one that it quotes.
 */
import * as abi from "../../nfs/sdk/abi.ts";
import { type Conversation, type Endpoint, type FlowFrame, protos, readFlowFrame } from "./flow-frame.ts";
import { FragmentModel } from "./fragment-model.ts";
import { TcpModel, type TcpStep } from "./tcp-states.ts";

/** Seconds by FLOW_STATE_*. */
export type StateTimeouts = Readonly<Record<number, number>>;

export interface FlowModelTimeouts {
  readonly tcp: StateTimeouts;
  /** FLOW_STATE_NEW and FLOW_STATE_ESTABLISHED. */
  readonly udp: StateTimeouts;
  readonly icmp: StateTimeouts;
  readonly sctp: StateTimeouts;
  readonly other: StateTimeouts;
  readonly fragment: number;
  /** How long a packet that passed in fragments is remembered. */
  readonly fragmentLinger: number;
}

export interface FlowModelConfig {
  /** By port. */
  readonly zones: readonly number[];
  readonly capacity: number;
  readonly timeouts: FlowModelTimeouts;
  /** Pick up TCP connections without their handshake. */
  readonly midstream: boolean;
}

/** nf_conntrack's. */
export const defaultTimeouts: FlowModelTimeouts = {
  tcp: {
    [abi.FLOW_STATE_NEW]: 10,
    [abi.FLOW_STATE_SYN_SENT]: 120,
    [abi.FLOW_STATE_SYN_SENT_2]: 120,
    [abi.FLOW_STATE_SYN_RECEIVED]: 60,
    [abi.FLOW_STATE_ESTABLISHED]: 432_000,
    [abi.FLOW_STATE_FIN_WAIT]: 120,
    [abi.FLOW_STATE_CLOSE_WAIT]: 60,
    [abi.FLOW_STATE_LAST_ACK]: 30,
    [abi.FLOW_STATE_TIME_WAIT]: 120,
    [abi.FLOW_STATE_CLOSED]: 10,
  },
  udp: { [abi.FLOW_STATE_NEW]: 30, [abi.FLOW_STATE_ESTABLISHED]: 120 },
  icmp: { [abi.FLOW_STATE_NEW]: 30, [abi.FLOW_STATE_ESTABLISHED]: 30 },
  sctp: { [abi.FLOW_STATE_NEW]: 30, [abi.FLOW_STATE_ESTABLISHED]: 210 },
  other: { [abi.FLOW_STATE_NEW]: 600, [abi.FLOW_STATE_ESTABLISHED]: 600 },
  fragment: 30,
  fragmentLinger: 0.1,
};

type Direction = 0 | 1;

/** What is known of a flow; `flow` numbers count from 1, in the order in which flows began. */
export interface ModelFlow {
  readonly flow: number;
  readonly zone: number;
  readonly vlan: number;
  /** The first frame's. */
  readonly conversation: Conversation;
  readonly startNs: bigint;
  lastNs: bigint;
  deadlineNs: bigint;
  /** FLOW_STATE_*. */
  state: number;
  assured: boolean;
  readonly packets: [number, number];
  readonly octets: [number, number];
  readonly tcpFlags: [number, number];
  readonly keys: string[];
  readonly tcp: TcpModel | undefined;
}

export interface FlowEnd extends Readonly<ModelFlow> {
  /** FLOW_END_*. */
  readonly end: number;
  readonly endNs: bigint;
}

export interface FrameOutcome {
  /** In the order of `receive`, from 1. */
  readonly frame: number;
  readonly verdict: "pass" | "hold" | "drop";
  /** Of a drop. */
  readonly reason?: string;
  /** As in the record: 0 for none; of an ICMP error, the flow that it is about, if that is known. */
  readonly flow: number;
  readonly direction: Direction;
  readonly isIcmpError: boolean;
  /** The frame began the flow that it counts for. */
  readonly started: boolean;
  /** Flows that ended before this frame, by time or because of it. */
  readonly ended: readonly FlowEnd[];
  /** Fragments that waited for this one, in the order of their arrival. */
  readonly released: readonly FrameOutcome[];
}

interface HeldFrame {
  readonly number: number;
  readonly zone: number;
  readonly frame: FlowFrame;
  readonly octets: number;
}

/** Of a flow: frames of `sender` have `direction`, all others the opposite one. */
interface Tuple {
  readonly flow: number;
  readonly sender: string;
  readonly direction: Direction;
}

/** The two endpoints of a second tuple, as a reply has them. */
export interface ReplyTuple {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

const nsOf = (seconds: number): bigint => BigInt(Math.round(seconds * 1e9));

export class FlowModel {
  readonly #config: FlowModelConfig;
  readonly #flows = new Map<number, ModelFlow>();
  readonly #tuples = new Map<string, Tuple>();
  readonly #fragments: FragmentModel<HeldFrame>;
  #started = 0;
  #frames = 0;

  constructor(config: FlowModelConfig) {
    this.#config = config;
    const { fragment, fragmentLinger } = config.timeouts;
    this.#fragments = new FragmentModel({ timeoutNs: nsOf(fragment), lingerNs: nsOf(fragmentLinger) });
  }

  /** Time does not go back. */
  receive(port: number, bytes: Uint8Array, timeNs: bigint): FrameOutcome {
    this.#frames += 1;
    const ended = this.expire(timeNs);
    const zone = this.#config.zones[port] ?? 0;
    const frame = readOnce(bytes);
    if (frame === undefined) return { ...noFlow, frame: this.#frames, ended };
    const own = this.#track({ number: this.#frames, zone, frame, octets: bytes.length }, timeNs);
    const released = this.#fragments.release().map((held) => this.#track(held, timeNs));
    return { ...own, ended: [...ended, ...own.ended], released };
  }

  /** The second tuple of a flow, by which replies find it. False if it is another flow's, or `flow` does not live. */
  bind(flow: number, { source, destination }: ReplyTuple): boolean {
    const known = this.#flows.get(flow);
    if (known === undefined) return false;
    const key = keyOf(known.zone, known.vlan, { ...known.conversation, source, destination });
    const holder = this.#tuples.get(key);
    if (holder !== undefined && holder.flow !== flow) return false;
    for (const old of known.keys.splice(1)) this.#tuples.delete(old);
    if (key === known.keys[0]) return true;
    known.keys.push(key);
    this.#tuples.set(key, { flow, sender: textOf(source), direction: 1 });
    return true;
  }

  /** Ends the flows whose time is over, in the order of their deadlines. */
  expire(timeNs: bigint): FlowEnd[] {
    const over = [...this.#flows.values()].filter(({ deadlineNs }) => deadlineNs <= timeNs);
    over.sort((a, b) => (a.deadlineNs === b.deadlineNs ? a.flow - b.flow : a.deadlineNs < b.deadlineNs ? -1 : 1));
    return over.map((flow) => this.#end(flow, endOf(flow), flow.deadlineNs));
  }

  /** Drops the fragments that waited in vain; their numbers, in the order of their arrival. */
  expireFragments(timeNs: bigint): number[] {
    return this.#fragments.expire(timeNs).map(({ number }) => number);
  }

  get flows(): readonly Readonly<ModelFlow>[] {
    return [...this.#flows.values()];
  }

  #track(held: HeldFrame, timeNs: bigint): FrameOutcome {
    const { number, zone, frame } = held;
    if (frame.fragment === undefined) return this.#trackPacket(held, frame, timeNs);
    const answer = this.#fragments.admit(frame, frame.fragment, zone, held, timeNs);
    if (answer.verdict === "hold") return { ...noFlow, frame: number, verdict: "hold" };
    if (answer.verdict === "drop") {
      return { ...noFlow, frame: number, verdict: "drop", reason: `fragment-${answer.reason}` };
    }
    const { proto, sourcePort, destinationPort } = answer;
    const source = { ...frame.source, port: sourcePort };
    const destination = { ...frame.destination, port: destinationPort };
    return this.#trackPacket(held, { version: frame.version, proto, source, destination }, timeNs);
  }

  #trackPacket(held: HeldFrame, conversation: Conversation, timeNs: bigint): FrameOutcome {
    const ended: FlowEnd[] = [];
    const { number, zone, frame } = held;
    const key = keyOf(zone, frame.vlan, conversation) + aboutOf(frame);
    let found = this.#find(key, conversation);
    let step: TcpStep = found === undefined ? "reuse" : stepOf(found.flow, found.direction, frame);
    const started = step === "reuse";
    if (found !== undefined && started) ended.push(this.#end(found.flow, abi.FLOW_END_REUSED, timeNs));
    if (found === undefined || started) {
      if (!this.#makeRoom(ended, timeNs)) {
        return { ...noFlow, frame: number, verdict: "drop", reason: "flow-table-full", ended };
      }
      found = { flow: this.#begin(key, held, conversation, timeNs, found?.flow), direction: 0 };
      step = stepOf(found.flow, 0, frame);
    }
    this.#count(found.flow, found.direction, held, timeNs);
    if (step === "taken" || found.flow.state === abi.FLOW_STATE_NEW) this.#prolong(found.flow, timeNs);
    return { ...this.#place(held, found.flow.flow, found.direction), frame: number, started, ended };
  }

  /** Where the functions find the frame: at its own flow or, if it is an ICMP error, at the one that it is about. */
  #place({ zone, frame }: HeldFrame, flow: number, direction: Direction): FrameOutcome {
    const about = frame.quoted && this.#find(keyOf(zone, frame.vlan, frame.quoted), frame.quoted);
    if (about === undefined) return { ...noFlow, flow, direction };
    return { ...noFlow, flow: about.flow.flow, direction: opposite(about.direction), isIcmpError: true };
  }

  #find(key: string, { source }: Conversation): { flow: ModelFlow; direction: Direction } | undefined {
    const tuple = this.#tuples.get(key);
    const flow = tuple && this.#flows.get(tuple.flow);
    if (tuple === undefined || flow === undefined) return undefined;
    const isSender = tuple.sender === textOf(source);
    return { flow, direction: isSender ? tuple.direction : opposite(tuple.direction) };
  }

  /** Ends the oldest unassured flow if the table is full. */
  #makeRoom(ended: FlowEnd[], timeNs: bigint): boolean {
    if (this.#flows.size < this.#config.capacity) return true;
    const oldest = [...this.#flows.values()].find(({ assured }) => !assured);
    if (oldest === undefined) return false;
    ended.push(this.#end(oldest, abi.FLOW_END_EVICTED, timeNs));
    return true;
  }

  #begin(key: string, held: HeldFrame, conversation: Conversation, timeNs: bigint, before?: ModelFlow): ModelFlow {
    this.#started += 1;
    const flow: ModelFlow = {
      flow: this.#started,
      zone: held.zone,
      vlan: held.frame.vlan,
      conversation,
      startNs: timeNs,
      lastNs: timeNs,
      deadlineNs: timeNs,
      state: abi.FLOW_STATE_NEW,
      assured: false,
      packets: [0, 0],
      octets: [0, 0],
      tcpFlags: [0, 0],
      keys: [key],
      tcp: conversation.proto === protos.tcp ? new TcpModel(this.#config.midstream, before?.tcp) : undefined,
    };
    this.#flows.set(flow.flow, flow);
    this.#tuples.set(key, { flow: flow.flow, sender: textOf(conversation.source), direction: 0 });
    return flow;
  }

  #count(flow: ModelFlow, direction: Direction, { frame, octets }: HeldFrame, timeNs: bigint): void {
    flow.packets[direction] += 1;
    flow.octets[direction] += octets;
    flow.tcpFlags[direction] |= frame.tcp?.flags ?? 0;
    flow.lastNs = timeNs;
    flow.state = flow.tcp?.state ?? (direction === 1 ? abi.FLOW_STATE_ESTABLISHED : flow.state);
    flow.assured ||= isAssured(flow);
  }

  #prolong(flow: ModelFlow, timeNs: bigint): void {
    const { proto } = flow.conversation;
    // A question and its answer are no conversation yet.
    const state = proto === protos.udp && !isLasting(flow) ? abi.FLOW_STATE_NEW : flow.state;
    flow.deadlineNs = timeNs + nsOf(timeoutsOf(this.#config.timeouts, flow)[state] as number);
  }

  #end(flow: ModelFlow, end: number, endNs: bigint): FlowEnd {
    this.#flows.delete(flow.flow);
    for (const key of flow.keys) this.#tuples.delete(key);
    return { ...flow, end, endNs };
  }
}

const noFlow: FrameOutcome = {
  frame: 0,
  verdict: "pass",
  flow: 0,
  direction: 0,
  isIcmpError: false,
  started: false,
  ended: [],
  released: [],
};

const textOf = ({ address, port }: Endpoint): string => `${address}:${port}`;

/** The same for both directions. */
function keyOf(zone: number, vlan: number, { version, proto, source, destination }: Conversation): string {
  const ends = [textOf(source), textOf(destination)].toSorted();
  return [zone, vlan, version, proto, ...ends].join(" ");
}

const read = new WeakMap<Uint8Array, FlowFrame>();

/** Sequences repeat their frames. */
function readOnce(bytes: Uint8Array): FlowFrame | undefined {
  const frame = read.get(bytes) ?? readFlowFrame(bytes);
  if (frame !== undefined) read.set(bytes, frame);
  return frame;
}

const opposite = (direction: Direction): Direction => (direction === 0 ? 1 : 0);

/** ICMP errors about different addresses are different flows. */
const aboutOf = ({ quoted }: FlowFrame): string =>
  quoted === undefined ? "" : ` about ${[quoted.source.address, quoted.destination.address].toSorted().join(" ")}`;

/** What the frame does with its flow; what has no TCP header, like later fragments, keeps a connection as it is. */
function stepOf({ tcp }: ModelFlow, direction: Direction, frame: FlowFrame): TcpStep {
  return tcp === undefined || frame.tcp === undefined ? "taken" : tcp.step(frame.tcp, direction);
}

const UDP_STREAM_NS = nsOf(2);

const isLasting = ({ state, startNs, lastNs }: ModelFlow): boolean =>
  state === abi.FLOW_STATE_ESTABLISHED && lastNs - startNs > UDP_STREAM_NS;

function isAssured(flow: ModelFlow): boolean {
  const { proto } = flow.conversation;
  if (flow.tcp !== undefined) return flow.tcp.isAssured;
  return proto === protos.udp ? isLasting(flow) : proto === protos.sctp && flow.state === abi.FLOW_STATE_ESTABLISHED;
}

function timeoutsOf(timeouts: FlowModelTimeouts, { conversation }: ModelFlow): StateTimeouts {
  switch (conversation.proto) {
    case protos.tcp:
      return timeouts.tcp;
    case protos.udp:
      return timeouts.udp;
    case protos.sctp:
      return timeouts.sctp;
    case protos.icmp:
    case protos.icmp6:
      return timeouts.icmp;
    default:
      return timeouts.other;
  }
}

/** What the end of a flow is called whose time is over. */
function endOf({ conversation, state }: ModelFlow): number {
  const closed: readonly number[] = [abi.FLOW_STATE_LAST_ACK, abi.FLOW_STATE_TIME_WAIT];
  if (conversation.proto === protos.tcp && closed.includes(state)) return abi.FLOW_END_CLOSED;
  return state === abi.FLOW_STATE_CLOSED ? abi.FLOW_END_RESET : abi.FLOW_END_TIMEOUT;
}
