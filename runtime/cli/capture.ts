// sluice capture: packets of a running chain as pcapng.
import { createWriteStream } from "node:fs";
import type { Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import type { Command } from "commander";
import type { CaptureRequest } from "../dataplane/observe/requests.ts";
import { SluiceError } from "../errors.ts";
import { openCapture } from "../generation/observe-client.ts";
import { PcapngTally } from "../telemetry/pcapng-tally.ts";
import { findEngine } from "./find-engine.ts";
import { collect } from "./program.ts";
import { findRemote } from "./remote.ts";
import { addWatchOptions, readCount, readFilter, untilInterrupted, type WatchOptions } from "./watch-options.ts";

interface CaptureOptions extends WatchOptions {
  readonly direction?: "in" | "out" | "both";
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  readonly snaplen?: string;
  readonly write?: string;
}

export function registerCapture(program: Command): void {
  const command = program
    .command("capture")
    .description("stream packets of a running chain as pcapng, to `tcpdump -r -`, Wireshark or a file")
    .argument("[chain]", "the chain; needed if several are running");
  addWatchOptions(command)
    .option("--direction <in|out|both>", "as they come in or go out at ports (both)")
    .option("--before <function>", "frames as they come to this function; repeatable", collect)
    .option("--after <function>", "frames as they leave this function; repeatable", collect)
    .option("--snaplen <bytes>", "keep this much of each frame")
    .option("--write <file>", "write to a file instead of stdout")
    .action(captureCommand);
}

async function captureCommand(chain: string | undefined, options: CaptureOptions): Promise<void> {
  if (options.write === undefined && process.stdout.isTTY) {
    const what = "a capture is no text, and stdout is a terminal";
    throw new SluiceError({
      code: "usage",
      where: "sluice capture",
      what,
      help: "add `| tcpdump -r -` or --write FILE",
    });
  }
  const request = readRequest(options);
  const stream = await openHereOrThere(chain, options, request);
  const tally = new PcapngTally();
  stream.on("data", (piece: Buffer) => tally.add(piece));
  stream.pause();
  if (options.write === undefined) await writeOut(stream);
  else await writeFile(stream, options.write);
  if (tally.why === "") {
    const what = `the engine ended in the middle of the capture, after ${tally.packets} packets`;
    throw new SluiceError({ code: "not-running", where: chain ?? "sluice capture", what });
  }
  const missing = tally.missing === 0 ? "" : `, ${tally.missing} MISSING`;
  process.stderr.write(`${tally.packets} packets${missing} (${tally.why})\n`);
}

async function openHereOrThere(
  chain: string | undefined,
  options: CaptureOptions,
  request: CaptureRequest,
): Promise<Readable> {
  const signal = untilInterrupted();
  const remote = await findRemote(chain, options, "sluice capture");
  if (remote === null) return openCapture(findEngine(chain, "sluice capture").path, request, signal);
  const { client, path } = remote;
  return client.open(`${path}/capture?${writeQuery(request)}`, { signal });
}

/** A list is a key that stands several times. */
function writeQuery(request: CaptureRequest): string {
  const pairs = Object.entries(request).flatMap(([key, value]) => [value].flat().map((each) => [key, String(each)]));
  return new URLSearchParams(pairs).toString();
}

function readRequest(options: CaptureOptions): CaptureRequest {
  const { direction, before, after } = options;
  return {
    ...readFilter(options),
    ...(direction === undefined ? {} : { direction }),
    ...(before === undefined ? {} : { before: [...before] }),
    ...(after === undefined ? {} : { after: [...after] }),
    ...readCount("count", "--count", options.count),
    ...readCount("seconds", "--seconds", options.seconds),
    ...readCount("snapLength", "--snaplen", options.snaplen),
  };
}

async function writeOut(stream: NodeJS.ReadableStream): Promise<void> {
  stream.pipe(process.stdout, { end: false });
  await finished(stream);
}

async function writeFile(stream: NodeJS.ReadableStream, file: string): Promise<void> {
  try {
    await pipeline(stream, createWriteStream(file, { mode: 0o600 }));
  } catch (error) {
    throw new SluiceError({ code: "file-unwritable", where: file, what: (error as Error).message });
  }
}
