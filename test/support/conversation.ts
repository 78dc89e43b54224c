/**
 * Conversations for the tracker, one frame per line, with what it makes of each:
 *
 * ```
 * > syn seq 0 wscale 7              | SYN_SENT start
 * 20ms < syn seq 0 ack 1            | SYN_RECEIVED
 * > ack 1 seq 1 payload "hello"     | ESTABLISHED established data
 * ```
 *
 * `>` is from the first sender, `<` from the other one; the words are those of a packet line (packet-text.ts), and for
 * TCP options `wscale N`, `ts VALUE ECHO` and `sack LEFT RIGHT`. A time before it is how long nothing happens: 20ms, 3s.
 * `cut N` leaves N bytes of the frame, as a capture would. Behind the bar: `reuse` if a new flow began on the same ports,
 * the state, and the events.
 *
 * Sequence numbers count from what the sides begin with, so that every conversation can be had around the wrap.
 */
import { expect } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import type { LineHarness } from "./line-harness.ts";

export interface TrackedFlow {
  readonly state: number;
  readonly events: number;
  readonly reuse: boolean;
  readonly flags: number;
  /** From the last frame to the deadline. */
  readonly seconds: number;
  readonly invalid: number;
  readonly rttUs: number;
  readonly retransmissions: readonly [number, number];
  readonly outOfOrder: readonly [number, number];
  readonly zeroWindows: readonly [number, number];
  readonly tcpFlags: readonly [number, number];
}

/** How the lines of packets begin. */
export interface Ends {
  readonly ">": string;
  readonly "<": string;
}

const between = (protocol: string, one: string, other: string): Ends => ({
  ">": `${protocol} ${one} > ${other}`,
  "<": `${protocol} ${other} > ${one}`,
});
export const tcp4 = between("tcp", "10.0.0.1:1000", "10.0.0.2:80");
export const tcp6 = between("tcp", "[2001:db8::1]:1000", "[2001:db8::2]:80");
export const udp = between("udp", "10.0.0.1:5000", "10.0.0.2:53");
export const sctp = between("sctp", "10.0.0.1:5000", "10.0.0.2:38412");
export const icmp = between("icmp", "10.0.0.1", "10.0.0.2");
export const icmp6 = between("icmp6", "2001:db8::1", "2001:db8::2");
export const ip = between("ip", "10.0.0.1", "10.0.0.2");

export interface ConversationOptions {
  readonly ends?: Ends;
  /** Numbers that the sides begin with. */
  readonly numbers?: readonly [number, number];
  readonly midstream?: boolean;
  readonly liberal?: boolean;
  readonly timeoutMs?: number;
  /** What a function adds to the sequence numbers of either side, before the other side has them. */
  readonly shifts?: readonly [number, number];
  /** Nothing of an ended flow is handed on to the next. */
  readonly forget?: boolean;
}

export interface Conversation {
  /** The text with what the tracker really made of it. */
  readonly text: string;
  readonly flow: TrackedFlow;
}

const eventNames: readonly (readonly [bit: number, name: string])[] = [
  [abi.EVENT_START, "start"],
  [abi.EVENT_ESTABLISHED, "established"],
  [abi.EVENT_DATA, "data"],
  [abi.EVENT_RETRANSMISSION, "retransmission"],
  [abi.EVENT_OUT_OF_ORDER, "out-of-order"],
  [abi.EVENT_HALF_CLOSED, "half-closed"],
  [abi.EVENT_CLOSED, "closed"],
  [abi.EVENT_RESET, "reset"],
  [abi.EVENT_INVALID, "invalid"],
  [abi.EVENT_ZERO_WINDOW, "zero-window"],
  [abi.EVENT_CHALLENGE, "challenge"],
];
const stateNames = Object.entries(abi).flatMap(([name, value]) =>
  name.startsWith("FLOW_STATE_") ? [[value, name.slice("FLOW_STATE_".length)] as const] : [],
);

function describeFlow({ reuse, state, events }: TrackedFlow): string {
  const known = eventNames.reduce((mask, [bit]) => mask | bit, 0);
  const names = eventNames.filter(([bit]) => events & bit).map(([, name]) => name);
  const rest = events & ~known ? [`events ${events & ~known}`] : [];
  const stateName = stateNames.find(([value]) => value === state)?.[1] ?? `state ${state}`;
  return [...(reuse ? ["reuse"] : []), stateName, ...names, ...rest].join(" ");
}

const hex32 = (value: number): string => (value >>> 0).toString(16).padStart(8, "0");

/** Options as hexadecimal digits, each padded to words of four bytes. */
const options: readonly (readonly [words: RegExp, hex: (numbers: readonly number[], other: number) => string])[] = [
  [/\bwscale (\d+)/, ([scale = 0]) => `010303${hex32(scale).slice(6)}`],
  [/\bts (\d+) (\d+)/, ([value = 0, echo = 0]) => `0101080a${hex32(value)}${hex32(echo)}`],
  [/\bsack (\d+) (\d+)/, ([left = 0, right = 0], other) => `0101050a${hex32(left + other)}${hex32(right + other)}`],
];

/** A packet line's words: numbers counted from `own` and `other`, options written out. */
function expandWords(words: string, own: number, other: number): string {
  const found = options.map(([pattern, hex]) => {
    const numbers = pattern.exec(words)?.slice(1).map(Number);
    return numbers === undefined ? "" : hex(numbers, other);
  });
  const rest = options
    .reduce((text, [pattern]) => text.replace(pattern, ""), words)
    .replace(/\bseq (-?\d+)/, (_, seq) => `seq ${(Number(seq) + own) >>> 0}`)
    .replace(/\back (-?\d+)/, (_, ack) => `ack ${(Number(ack) + other) >>> 0}`);
  return found.join("") === "" ? rest : `${rest} tcp-options ${found.join("")}`;
}

interface Turn {
  readonly said: string;
  readonly pauseUs: number;
  readonly frame: Uint8Array;
  readonly wireLength: number;
}

function readTurn(
  line: string,
  ends: Ends,
  numbers: readonly [number, number],
  shifts: readonly [number, number],
): Turn {
  const [said = "", pause, unit, side, words = "", cut] =
    /^(?:(\d+)(us|ms|s) )?([<>]) (.*?)(?: cut (\d+))?$/.exec(line) ?? [];
  if (side !== "<" && side !== ">") throw new Error(`not a turn of a conversation: "${line}"`);
  const received = [numbers[0] + shifts[0], numbers[1] + shifts[1]] as const;
  const [own, other] = side === ">" ? [numbers[0], received[1]] : [numbers[1], received[0]];
  const isTcp = ends[side].startsWith("tcp");
  const frame = encodePacket(`${ends[side]} ${isTcp ? expandWords(words, own, other) : words}`);
  const pauseUs = Number(pause ?? 0) * (unit === "s" ? 1_000_000 : unit === "ms" ? 1000 : 1);
  return { said, pauseUs, frame: frame.subarray(0, Number(cut ?? frame.length)), wireLength: frame.length };
}

/** The lines of a conversation as they are compared: one blank between words, what was said apart from what follows. */
export function readLines(text: string): (readonly [said: string, result: string])[] {
  const lines = text.split("\n").map((line) => line.trim().replace(/\s+/g, " "));
  return lines
    .filter((line) => line !== "")
    .map((line) => {
      const [said = "", result = ""] = line.split(" | ");
      return [said, result] as const;
    });
}

export async function converse(
  harness: LineHarness,
  text: string,
  options: ConversationOptions,
): Promise<Conversation> {
  const { ends = tcp4, numbers = [0, 0], midstream = true, liberal = false, timeoutMs = 0, forget = false } = options;
  const { shifts = [0, 0] } = options;
  let timeUs = 1_000_000;
  const turns = readLines(text).map(([said]) => readTurn(said, ends, numbers, shifts));
  const frames = turns.map(({ pauseUs, frame, wireLength }) => {
    timeUs += pauseUs;
    return `frame ${timeUs} ${wireLength} ${Buffer.from(frame).toString("hex")}`;
  });
  const wrapped = shifts.map((shift) => shift >>> 0).join(" ");
  const commands = [`tracker ${+midstream} ${+liberal}`, `timeout ${timeoutMs}`, `shift ${wrapped}`];
  await harness.askAll([...commands, ...(forget ? ["forget"] : [])]);
  const flows = (await harness.askAll(frames)) as TrackedFlow[];
  const flow = flows.at(-1);
  if (flow === undefined) throw new Error("a conversation has at least one frame");
  return { text: flows.map((seen, i) => `${turns[i]?.said} | ${describeFlow(seen)}`).join("\n"), flow };
}

const variants: readonly ConversationOptions[] = [
  { ends: tcp6, numbers: [0xfffffffe, 0x7fffffff] },
  { numbers: [0x7ffffc00, 0xffffff00] },
  { numbers: [0xfffffff0, 5], shifts: [7, -100_000] },
];

/** Has a TCP conversation over IPv4 and IPv6, with and without numbers that wrap or are shifted, and expects what it says of itself. */
export async function follow(
  harness: LineHarness,
  text: string,
  options: ConversationOptions = {},
): Promise<TrackedFlow> {
  const expected = readLines(text)
    .map((line) => line.join(" | "))
    .join("\n");
  const { flow, ...plain } = await converse(harness, text, options);
  expect(plain.text).toBe(expected);
  // Shifts are by direction, which is the first sender's, and end with the flow.
  const canShift = expected.startsWith("> ") && !expected.includes("reuse");
  for (const variant of variants.filter(({ shifts }) => canShift || shifts === undefined)) {
    expect(await converse(harness, text, { ...variant, ...options })).toEqual({ text: expected, flow });
  }
  return flow;
}
