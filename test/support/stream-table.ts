// The stream table behind stream_harness, and connections written one packet per line.
import * as abi from "../../nfs/sdk/abi.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { LineHarness } from "./line-harness.ts";
import type { OverlapPolicy } from "./stream-model.ts";

export interface Chunk {
  readonly flow: number;
  readonly direction: 0 | 1;
  readonly offset: number;
  readonly gap: number;
  readonly flags: number;
  /** Index in the batch of the frame that made it available, 0xffff for none. */
  readonly record: number;
  readonly inBuffer: boolean;
  /** Hexadecimal. */
  readonly data: string;
}

export interface Answer {
  readonly chunks: readonly Chunk[];
  /** Bytes of the buffer in use. */
  readonly buffered: number;
}

export interface StreamOptions {
  readonly flows?: number;
  readonly bufferBytes?: number;
  readonly perFlowBytes?: number;
  readonly holdMs?: number;
  readonly overlap?: OverlapPolicy;
}

export interface PushedFrame {
  readonly flow?: number;
  readonly direction?: 0 | 1;
  readonly timeMs?: number;
  /** How many chunks there is room for. */
  readonly room?: number | undefined;
  /** On the wire, if the capture cut the frame. */
  readonly wireLength?: number;
  readonly bytes: Uint8Array;
}

const ROOM = 1024;

export const makeLine = (options: StreamOptions = {}): string => {
  const { flows = 16, bufferBytes = 1 << 20, perFlowBytes = 1 << 18, holdMs = 2000, overlap = "first" } = options;
  return `make ${flows} ${bufferBytes} ${perFlowBytes} ${holdMs} ${overlap}`;
};

export const pushLine = (frame: PushedFrame): string => {
  const { flow = 1, direction = 0, timeMs = 0, room = ROOM, wireLength = 0, bytes } = frame;
  return `push ${flow} ${direction} ${timeMs} ${room} ${wireLength} ${Buffer.from(bytes).toString("hex")}`;
};

export const endLine = (flow = 1, room = ROOM): string => `end ${flow} ${room}`;

/**
 * The harness's command for one line of a connection:
 *
 * ```
 * > syn seq 99                   a TCP frame from client to server, in the words of packet-text
 * < syn ack 100 seq 499          and back
 * @2500 > seq 120 payload "x"    at that time in milliseconds
 * cut 60 > seq 100 zeros 80      a frame of which the capture has 60 bytes
 * room 0 > seq 100 payload "x"   there is no room for a chunk
 * flow 2 > syn seq 7             of another flow than 1
 * v6 > seq 1 payload "x"         over IPv6
 * udp > payload "query"          a datagram
 * batch                          the next batch begins
 * end                            the flow ends
 * ```
 */
export function commandOf(line: string): string {
  const match = /^(?:@(\d+) )?(?:cut (\d+) )?(?:room (\d+) )?(?:flow (\d+) )?(v6 )?(udp )?([<>])(?: (.*))?$/.exec(line);
  if (match === null) return line.startsWith("end") ? endLine(...line.split(" ").slice(1).map(Number)) : line;
  const [, time, cut, room, flow, v6, udp, arrow, words = ""] = match;
  const [client, server] = v6 ? ["[2001:db8::1]:1234", "[2001:db8::2]:80"] : ["10.0.0.1:1234", "10.0.0.2:80"];
  const [from, to] = arrow === ">" ? [client, server] : [server, client];
  const frame = encodePacket(`${udp ? "udp" : "tcp"} ${from} > ${to} ${words}`);
  return pushLine({
    flow: Number(flow ?? 1),
    direction: arrow === ">" ? 0 : 1,
    timeMs: Number(time ?? 0),
    room: Number(room ?? ROOM),
    wireLength: cut === undefined ? 0 : frame.length,
    bytes: frame.subarray(0, cut === undefined ? frame.length : Number(cut)),
  });
}

const flagWords: readonly (readonly [number, string])[] = [
  [abi.CHUNK_FLAG_START, "start"],
  [abi.CHUNK_FLAG_END, "end"],
  [abi.CHUNK_FLAG_DATAGRAM, "datagram"],
  [abi.CHUNK_FLAG_AMBIGUOUS, "ambiguous"],
];

/** `> 3 gap 2 "abc" end`: direction, offset, what is missing, the bytes as text, flags. */
export function formatChunk(chunk: Chunk): string {
  const hasGap = (chunk.flags & abi.CHUNK_FLAG_GAP) !== 0;
  if (hasGap !== chunk.gap > 0) throw new Error(`a gap of ${chunk.gap} with flags ${chunk.flags}`);
  const text = Buffer.from(chunk.data, "hex").toString("latin1");
  const words = flagWords.filter(([flag]) => (chunk.flags & flag) !== 0).map(([, word]) => word);
  const parts = [chunk.flow === 1 ? "" : `flow ${chunk.flow}`, chunk.direction === 0 ? ">" : "<", `${chunk.offset}`];
  return [...parts, hasGap ? `gap ${chunk.gap}` : "", text === "" ? "" : JSON.stringify(text), ...words]
    .filter((part) => part !== "")
    .join(" ");
}

export class StreamTable {
  readonly #harness = new LineHarness("stream_harness");

  /** Answers to the commands, from an empty table. */
  async run(options: StreamOptions, commands: readonly string[]): Promise<readonly Answer[]> {
    return ((await this.#harness.askAll([makeLine(options), ...commands])) as Answer[]).slice(1);
  }

  /** The chunks that come out of these lines (commandOf), as lines (formatChunk). */
  async play(lines: readonly string[], options: StreamOptions = {}): Promise<readonly string[]> {
    const answers = await this.run(options, lines.map(commandOf));
    return answers.flatMap(({ chunks }) => chunks.map(formatChunk));
  }

  close(): Promise<void> {
    return this.#harness.close();
  }
}
