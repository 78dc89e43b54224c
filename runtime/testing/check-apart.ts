// A function tried in a process of its own, which has no privilege and little of everything else: whatever the function
// does, it ends with that.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { privilegeArguments } from "../dataplane/privileges.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { FunctionCheck } from "./function-check.ts";
import type { CheckMessage } from "./function-check-process.ts";

export interface CheckLimits {
  /** Processor time of one step: compiling and configuring it, sending it one kind of frames. */
  readonly stepSeconds: number;
  /** Of all of it; whoever waits may have ended. */
  readonly cpuSeconds: number;
  /** How long anybody waits for it, on a machine that has no time. */
  readonly waitMs: number;
  /** Writable memory, of Node, engine and function together. */
  readonly memoryBytes: number;
}

export const checkLimits: CheckLimits = {
  stepSeconds: 20,
  cpuSeconds: 200,
  waitMs: 600_000,
  memoryBytes: 4 * 2 ** 30,
};

const script = join(import.meta.dirname, "function-check-process.ts");

/** As in the data plane; and no file may be written, no process started, no connection made. */
const flags = [
  ...["--disable-warning=ExperimentalWarning", "--disable-warning=SecurityWarning"],
  "--no-liftoff",
  ...["--permission", "--allow-addons", "--allow-fs-read=*"],
];

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** `name` is the function's, for errors. Throws what is wrong with the package, or function-unsound. */
export async function checkApart(tar: Uint8Array, name: string, limits = checkLimits): Promise<FunctionCheck> {
  const child = start(limits);
  const ended = endOf(child);
  const errors = collect(child.stderr);
  // It may end before it has read everything.
  child.stdin.on("error", () => {});
  child.stdin.end(tar);
  const { last, result, isLate } = await follow(child, limits);
  const { status, signal } = await ended;
  if (result !== undefined && "check" in result) return result.check;
  if (result !== undefined && "faults" in result) throw new SluiceError(...(result.faults as [Fault, ...Fault[]]));
  throw describeEnd({ name, last, isLate, status, signal, errors: errors() }, limits);
}

function start({ cpuSeconds, memoryBytes }: CheckLimits): Child {
  const limited = ["prlimit", `--data=${memoryBytes}`, `--cpu=${cpuSeconds}`, "--core=0"];
  const [command, ...args] = [
    ...limited,
    "nice",
    "-n",
    "19",
    ...privilegeArguments([]),
    process.execPath,
    ...flags,
    script,
  ];
  // Nothing of the environment: tokens may stand there.
  const env = { PATH: process.env.PATH };
  return spawn(command as string, args, { stdio: ["pipe", "pipe", "pipe"], env });
}

/** Kills it when a step takes too much of the processor, or all of it too long. */
async function follow(child: Child, limits: CheckLimits) {
  let last = "reading it";
  let usedBefore = 0;
  let isLate = false;
  let result: CheckMessage | undefined;
  const waitUntil = performance.now() + limits.waitMs;
  const look = setInterval(() => {
    if (usedSeconds(child) - usedBefore < limits.stepSeconds && performance.now() < waitUntil) return;
    isLate = true;
    child.kill("SIGKILL");
  }, LOOK_EVERY_MS);
  try {
    for await (const line of createInterface(child.stdout)) {
      const message = JSON.parse(line) as CheckMessage;
      usedBefore = usedSeconds(child);
      if ("step" in message) last = message.step;
      else result = message;
    }
  } finally {
    clearInterval(look);
  }
  return { last, result, isLate };
}

function endOf(child: Child): Promise<{ readonly status: number | null; readonly signal: NodeJS.Signals | null }> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof endOf>>>();
  child.once("error", ({ message }) =>
    reject(new SluiceError({ code: "system-call", where: "prlimit", what: message })),
  );
  child.once("close", (status, signal) => resolve({ status, signal }));
  // Whoever waits for it may have to wait for something else first.
  promise.catch(() => {});
  return promise;
}

const LOOK_EVERY_MS = 200;
/** Of /proc: 100 a second on Linux, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100;

/** Processor time of all of its threads; 0 if it has ended. */
function usedSeconds({ pid }: Child): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

const ERROR_BYTES = 4096;

function collect(stream: Readable): () => string {
  let text = "";
  stream.setEncoding("utf8").on("data", (part: string) => {
    text = (text + part).slice(-ERROR_BYTES);
  });
  return () => text.trim();
}

interface End {
  readonly name: string;
  readonly last: string;
  readonly isLate: boolean;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly errors: string;
}

function describeEnd({ name, last, isLate, status, signal, errors }: End, limits: CheckLimits): SluiceError {
  const unsound = (what: string) => new SluiceError({ code: "function-unsound", where: name, what });
  if (isLate) return unsound(`it did not return within ${limits.stepSeconds} s of processor time: ${last}`);
  if (signal === "SIGXCPU") return unsound(`it took ${limits.cpuSeconds} s of processor time: ${last}`);
  if (signal !== null) return unsound(`the process that tried it died (${signal}): ${last}`);
  if (/out of memory|allocation failed/i.test(errors)) return unsound(`it takes too much memory: ${last}`);
  const what = `the process that tries functions ended with status ${status}: ${errors}`;
  return new SluiceError({ code: "internal", where: name, what });
}
