// The same conversations through a chain that runs and through a kernel that routes: what became of each packet.
import { encodePacket, formatPacket } from "../../../runtime/testing/packet-text.ts";
import { type FrameRelay, MARKER, type RelayedFrame } from "../frame-relay.ts";
import type { Arrived, Conversation, Plan, Sent, Side, Tuple } from "./conversations.ts";
import { isVersion6 } from "./conversations.ts";
import { MARKER_ETHER_TYPE } from "./policy-chain.ts";
import { MARKER_PORT } from "./policy-nftables.ts";

export const paths = ["engine", "kernel"] as const;
export type PathName = (typeof paths)[number];

/** The router's own and its neighbours' addresses, by side; the engine does not mind them. */
export const routerMacs = { lan: "02:00:00:00:01:01", wan: "02:00:00:00:01:02" } as const;
export const neighbourMacs = { lan: "02:00:00:00:02:01", wan: "02:00:00:00:02:02" } as const;
/** The order of the relay's ends. */
export const relayEnds = ["engine lan", "engine wan", "kernel lan", "kernel wan"] as const;

/** What is forwarded has another one afterwards, what a path says of its own never has it. */
const TTL = 77;
const IDS_PER_CONVERSATION = 64;

/** What became of one packet on one path. */
export interface Fate {
  readonly sent: string;
  /** As it arrived on the other side, without what a router changes; null if it did not. */
  readonly arrived: string | null;
  /** Whose it was where it arrived. */
  readonly tuple: Tuple | null;
}

/** One packet on both paths. */
export interface Comparison {
  readonly plan: Plan;
  readonly step: number;
  readonly oddity: string | undefined;
  readonly fates: Readonly<Record<PathName, Fate>>;
}

export interface Round {
  readonly comparisons: readonly Comparison[];
  /** Resets and ICMP errors that the paths themselves said, sorted. */
  readonly answers: Readonly<Record<PathName, readonly string[]>>;
  /** Frames that came after the markers of the round in which they were sent. */
  readonly late: readonly string[];
}

interface Running {
  readonly plan: Plan;
  readonly index: number;
  readonly scripts: Readonly<Record<PathName, Conversation>>;
}

/** Rounds of one packet per conversation, until none has anything left to say, on both paths alike. */
export async function* converse(relay: FrameRelay, plans: readonly Plan[]): AsyncGenerator<Round> {
  let running: Running[] = plans.map((plan, index) => ({
    plan,
    index,
    scripts: { engine: plan.begin(), kernel: plan.begin() },
  }));
  let news = new Map<string, Arrived | null>();
  for (let step = 0; running.length > 0; step++) {
    const sent = new Map<
      string,
      { readonly frames: readonly RelayedFrame[]; readonly line: string; readonly said: Sent }
    >();
    running = running.filter((each) => {
      const said = paths.map((path) => {
        const next = each.scripts[path].next(news.get(`${path} ${each.index}`) ?? null);
        if (next.done === true) return false;
        const id = numberIn(each.index, step);
        const { from, lines } = next.value;
        const frames = lines.map((line) => ({ end: endOf(path, from), bytes: encodePacket(dress(line, from, id)) }));
        sent.set(`${path} ${each.index}`, { frames, line: lines.join(" | "), said: next.value });
        return true;
      });
      return said.every((has) => has);
    });
    if (running.length === 0) return;
    const frames = [...sent.values()].flatMap((each) => each.frames);
    const came = sortOut(await relay.exchange([...frames, ...markers]));
    news = new Map();
    const numbers = new Set([...sent.keys()].map((key) => numberIn(Number(key.split(" ")[1]), step)));
    const late = [...came.passed]
      .filter(([key]) => !numbers.has(Number(key.split(" ")[2])))
      .map(([key, lines]) => `${key}: ${plain(lines)}`);
    const comparisons = running.map((each) => {
      const id = numberIn(each.index, step);
      const fates = paths.map((path) => {
        const { line, said } = sent.get(`${path} ${each.index}`) as { line: string; said: Sent };
        const { from } = said;
        const arrived = came.passed.get(`${path} ${opposite(from)} ${id}`) ?? null;
        const seen = arrived === null ? null : arrivedAs(arrived);
        news.set(`${path} ${each.index}`, seen);
        const text = arrived === null ? null : plain(arrived);
        const common = text === null || from === "wan" ? text : pooled(text);
        return [path, { sent: line, arrived: common, tuple: seen?.tuple ?? null }] as const;
      });
      const { oddity } = (sent.get(`engine ${each.index}`) as { said: Sent }).said;
      return { plan: each.plan, step, oddity, fates: Object.fromEntries(fates) as Record<PathName, Fate> };
    });
    yield { comparisons, answers: came.answers, late };
  }
}

const numberIn = (index: number, step: number) => index * IDS_PER_CONVERSATION + step + 1;
const opposite = (side: Side): Side => (side === "lan" ? "wan" : "lan");
const endOf = (path: PathName, side: Side) => relayEnds.indexOf(`${path} ${side}`);

function dress(line: string, from: Side, id: number): string {
  const words =
    isVersion6(line.split(" ")[1] ?? "") && /^(icmp6|\w+ \[)/.test(line) ? `flow-label ${id}` : `ip-id ${id}`;
  const numbered = line.includes(" frag ") ? dressFragment(line, id) : `${line} ${words}`;
  return `ether ${neighbourMacs[from]} > ${routerMacs[from]} ${numbered} ttl ${TTL}`;
}

/** Whoever translates fragments may give them another identification (RFC 7857, 10): they carry the number as payload. */
function dressFragment(line: string, id: number): string {
  const payload = (_: string, bytes: string) => `payload ${NUMBERED}${toHex(id)}${"00".repeat(Number(bytes) - 8)}`;
  return line.replace(" frag ", ` frag id ${id} `).replace(/zeros (\d+)/, payload);
}

const NUMBERED = "5ce1f00d";
const toHex = (id: number) => id.toString(16).padStart(8, "0");

function numberOf(outer: string): number {
  const inPayload = new RegExp(`frag .*payload ${NUMBERED}([0-9a-f]{8})`).exec(outer)?.[1];
  if (inPayload !== undefined) return Number.parseInt(inPayload, 16);
  return Number(/(?:ip-id|flow-label|frag id) (\w+)/.exec(outer)?.[1]);
}

const markers: readonly RelayedFrame[] = relayEnds.map((name, end) => {
  const [path, side] = name.split(" ") as [PathName, Side];
  const text = MARKER.toString("hex");
  const [source, destination] = side === "lan" ? ["10.0.0.1", "8.8.8.8"] : ["8.8.8.8", "10.0.0.1"];
  const line =
    path === "engine"
      ? `type ${MARKER_ETHER_TYPE} payload ${"00".repeat(46)}${text}`
      : `udp ${source}:${MARKER_PORT} > ${destination}:${MARKER_PORT} payload ${"00".repeat(32)}${text}`;
  return { end, bytes: encodePacket(`ether ${neighbourMacs[side]} > ${routerMacs[side]} ${line}`) };
});

interface SortedOut {
  /** By path, side and number: lines of a packet's frames. */
  readonly passed: ReadonlyMap<string, readonly string[]>;
  readonly answers: Readonly<Record<PathName, readonly string[]>>;
}

function sortOut(frames: readonly RelayedFrame[]): SortedOut {
  const passed = new Map<string, string[]>();
  const answers: Record<PathName, string[]> = { engine: [], kernel: [] };
  for (const { end, bytes } of frames) {
    const [path, side] = (relayEnds[end] ?? "").split(" ") as [PathName, Side];
    const line = formatPacket(bytes).replace(/^ether \S+ > \S+ /, "");
    const outer = line.replace(/payload \(.*\)/, "");
    const ttl = Number(/ ttl (\d+)/.exec(outer)?.[1] ?? 64);
    if (ttl === TTL || ttl === TTL - 1) {
      const key = `${path} ${side} ${numberOf(outer)}`;
      passed.set(key, [...(passed.get(key) ?? []), line]);
    } else answers[path].push(`${side} ${answer(line)}`);
  }
  return { passed, answers: { engine: answers.engine.toSorted(), kernel: answers.kernel.toSorted() } };
}

/** Without what is left to whoever answers: who a router is, identification, how much is quoted, also of which fragments. */
function answer(line: string): string {
  const text = line.replaceAll(/ (?:ttl|ip-id|flow-label|dscp|udp-length) \w+| df| frag id \w+ offset 0 more/g, "");
  return text
    .replace(/^(icmp6?) \S+ > (.*?) payload \((.*)\)$/, "$1 [router] > $2 about $3")
    .replace(/^(icmp6?) \S+ >/, "$1 [router] >")
    .replaceAll(/ payload \S+/g, "");
}

function plain(lines: readonly string[]): string {
  return lines
    .map((line) =>
      line.replaceAll(new RegExp(` ttl (?:${TTL}|${TTL - 1})\\b`, "g"), "").replace(/ frag id \w+/, " frag"),
    )
    .join(" | ");
}

/** Which address and port (of echoes, identifier) of a pool a host gets is left to who translates. */
function pooled(text: string): string {
  return text
    .replace(/ 203\.0\.113\.(\d{1,2})(:\d+)? >/g, " [pool] >")
    .replace(/ \[?2001:db8:f::(?:[12]|4[0-3])(?:\]:\d+)? >/g, " [pool] >")
    .replace(/(?<=^icmp6? \[pool\] > \S+ echo(?:-reply)? id )\d+/, "[pool]");
}

function arrivedAs(lines: readonly string[]): Arrived {
  const line = lines.find((each) => !each.startsWith("ip ")) ?? (lines[0] as string);
  return { line, tuple: tupleOf(line) };
}

function tupleOf(line: string): Tuple {
  const [kind = "", source = "", , destination = ""] = line.split(" ");
  const proto = kind === "tcp" || kind === "udp" ? kind : "icmp";
  const split = (text: string) => /^\[?(.*?)\]?:(\d+)$/.exec(text);
  if (proto === "icmp") {
    const id = Number(/ id (\d+)/.exec(line)?.[1] ?? 0);
    return { proto, source, sourcePort: id, destination, destinationPort: id };
  }
  const [, sourceAddress = "", sourcePort] = split(source) ?? [];
  const [, destinationAddress = "", destinationPort] = split(destination) ?? [];
  return {
    proto,
    source: sourceAddress,
    sourcePort: Number(sourcePort),
    destination: destinationAddress,
    destinationPort: Number(destinationPort),
  };
}
