// sluice trace: what becomes of packets in a running chain, hop by hop.
import type { Command } from "commander";
import { loadAddon } from "../dataplane/load-addon.ts";
import type { TraceRequest } from "../dataplane/observe/requests.ts";
import type { TraceEvent } from "../dataplane/observe/trace-events.ts";
import { SluiceError } from "../errors.ts";
import { openTrace } from "../generation/observe-client.ts";
import { encodePacket } from "../testing/packet-text.ts";
import { findEngine } from "./find-engine.ts";
import { printLine } from "./output.ts";
import { collect } from "./program.ts";
import { findRemote, readEvents } from "./remote.ts";
import { formatTraced } from "./trace-text.ts";
import { addWatchOptions, readCount, readFilter, untilInterrupted, type WatchOptions } from "./watch-options.ts";

interface TraceOptions extends WatchOptions {
  readonly packet?: readonly string[];
  readonly hex?: readonly string[];
  readonly pcap?: string;
  readonly number?: string;
  readonly json?: boolean;
}

export function registerTrace(program: Command): void {
  const command = program
    .command("trace")
    .description("tell what becomes of packets: of the next ones that come, or of given ones on a copy of the state")
    .argument("[chain]", "the chain; needed if several are running");
  addWatchOptions(command)
    .option("--packet <line>", "instead of what comes: this packet, as packet text, in at --port; repeatable", collect)
    .option("--hex <bytes>", "the same, as hexadecimal digits; repeatable", collect)
    .option("--pcap <file>", "the same, all packets of a capture")
    .option("--number <n>", "with --pcap: only its n-th packet")
    .option("--json", "print JSON, one document per line")
    .action(traceCommand);
}

async function traceCommand(chain: string | undefined, options: TraceOptions): Promise<void> {
  const frames = readFrames(options);
  const request = frames.length === 0 ? readLive(options) : { frames };
  const events = await openEvents(chain, options, request);
  let end: Extract<TraceEvent, { kind: "end" }> | undefined;
  for await (const event of events) {
    if (options.json) printLine(JSON.stringify(event));
    else if (event.kind === "packet") for (const line of formatTraced(event)) printLine(line);
    if (event.kind === "end") end = event;
  }
  if (end?.packets === 0) throw nothingCame(chain ?? "sluice trace", end);
  if (!options.json && end !== undefined && end.missed > 0) printLine(`${end.missed} frames could not be looked at`);
}

async function openEvents(
  chain: string | undefined,
  options: TraceOptions,
  request: TraceRequest,
): Promise<AsyncIterable<TraceEvent>> {
  const signal = untilInterrupted();
  const remote = await findRemote(chain, options, "sluice trace");
  if (remote === null) return openTrace(findEngine(chain, "sluice trace").path, request, signal);
  const headers = { accept: "text/event-stream" };
  const response = await remote.client.open(`${remote.path}/trace`, { method: "POST", body: request, headers, signal });
  return untilEnd(readEvents<TraceEvent>(response), () => response.destroy());
}

async function* untilEnd(events: AsyncIterable<{ data: TraceEvent }>, close: () => void): AsyncGenerator<TraceEvent> {
  for await (const { data } of events) {
    yield data;
    if (data.kind === "end") return close();
  }
}

function readLive(options: TraceOptions): TraceRequest {
  return {
    ...readFilter(options),
    ...readCount("count", "--count", options.count),
    ...readCount("seconds", "--seconds", options.seconds),
  };
}

type Frame = NonNullable<TraceRequest["frames"]>[number];

function readFrames(options: TraceOptions): Frame[] {
  const { packet = [], hex = [], pcap, match, flow, drop, count } = options;
  const frames = [
    ...packet.map((line) => ({ hex: Buffer.from(encodePacket(line)).toString("hex") })),
    ...hex.map((text) => ({ hex: readHex(text) })),
    ...(pcap === undefined ? [] : readCapture(pcap, options.number)),
  ];
  if (frames.length === 0) return [];
  const [port, ...others] = options.port ?? [];
  if (port === undefined || others.length > 0) throw usage("--port", "a given packet comes in at one port: name it");
  if ([match, flow, drop, count].some((option) => option !== undefined)) {
    throw usage("sluice trace", "a given packet needs no filter");
  }
  return frames.map((frame) => ({ ...frame, port }));
}

function readHex(text: string): string {
  const digits = text.replace(/[\s:]/g, "").replace(/^0x/, "");
  if (/^([0-9a-fA-F]{2})+$/.test(digits)) return digits;
  throw usage("--hex", "is not pairs of hexadecimal digits");
}

function readCapture(file: string, number: string | undefined): Omit<Frame, "port">[] {
  const { packets, damage } = loadAddon().readCapture(file);
  if (damage !== null) throw new SluiceError({ code: "capture-truncated", where: file, what: damage });
  if (packets.length === 0) throw usage(file, "has no packets");
  const index = number === undefined ? undefined : (readCount("number", "--number", number).number ?? 0) - 1;
  const chosen = index === undefined ? packets : packets.slice(index, index + 1);
  if (chosen.length === 0) throw usage("--number", `${file} has ${packets.length} packets`);
  return chosen.map(({ bytes, wireLength, link }) => ({ hex: Buffer.from(bytes).toString("hex"), wireLength, link }));
}

function nothingCame(where: string, { why, missed }: Extract<TraceEvent, { kind: "end" }>): SluiceError {
  const unseen = missed === 0 ? "" : `; ${missed} frames could not be looked at`;
  const help = "widen the filter, or wait longer with --seconds";
  return new SluiceError({ code: "nothing-matched", where, what: `no packet was traced: ${why}${unseen}`, help });
}

function usage(where: string, what: string): SluiceError {
  return new SluiceError({ code: "usage", where, what });
}
