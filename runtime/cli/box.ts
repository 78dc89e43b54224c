// `sluice up`: the whole box. This process hosts the engines; control runs in another one, which may die and is started
// again, and packets do not notice.
import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ControlOptions, NamedChain } from "../control/control.ts";
import { dropAllMaterials } from "../control/materials.ts";
import { controlPrivileges, withPrivileges } from "../dataplane/privileges.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { ControlMessage, ControlOrder } from "./control-protocol.ts";
import { ChainHost, type HostOptions } from "./host.ts";
import { outliveReaders, printLine } from "./output.ts";

const PAUSE_MS = 1000;
const ENDED_WITHIN_MS = 10_000;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Until a signal comes. Throws what keeps control from starting; then nothing is left. */
export async function runBox(
  options: HostOptions & { readonly control: ControlOptions },
  named: readonly NamedChain[],
): Promise<void> {
  const host = new ChainHost(options);
  await host.listen();
  outliveReaders();
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  for (const signal of signals) process.on(signal, stop);
  try {
    await keepControl({ options: options.control, named }, stopping.signal, options.json);
  } finally {
    await host.close();
    dropAllMaterials();
    for (const signal of signals) process.off(signal, stop);
  }
}

/** Only the host, for a control process elsewhere on the machine. */
export async function runHost(options: HostOptions): Promise<void> {
  const host = new ChainHost(options);
  await host.listen();
  outliveReaders();
  if (options.json) printLine(JSON.stringify({ state: "hosting", pid: process.pid }));
  else printLine(`hosting chains (process ${process.pid}); declare them with \`sluice control\``);
  const ended = new AbortController();
  for (const signal of signals) process.once(signal, () => ended.abort());
  await new Promise((resolve) => ended.signal.addEventListener("abort", resolve));
  await host.close();
  dropAllMaterials();
}

async function keepControl(
  order: Pick<ControlOrder, "options" | "named">,
  signal: AbortSignal,
  json: boolean,
): Promise<void> {
  for (let isFirst = true; !signal.aborted; ) {
    const answer = await runControl({ ...order, isFirst }, signal, (message) => announce(message, json, isFirst));
    if (signal.aborted) return;
    if (answer?.kind === "refused" && isFirst) throw new SluiceError(...(answer.faults as [Fault, ...Fault[]]));
    if (answer?.kind === "listening") isFirst = false;
    process.stderr.write("control ended; it is started again\n");
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
  }
}

/** Until it ends. Resolves with what it said. */
function runControl(
  order: ControlOrder,
  signal: AbortSignal,
  tell: (message: ControlMessage) => void,
): Promise<ControlMessage | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<ControlMessage | undefined>();
  let answer: ControlMessage | undefined;
  try {
    const child = startControl();
    let killed: NodeJS.Timeout | undefined;
    const end = () => {
      child.kill("SIGTERM");
      killed = setTimeout(() => child.kill("SIGKILL"), ENDED_WITHIN_MS);
    };
    signal.addEventListener("abort", end, { once: true });
    // A process that cannot be started says so here, and closes.
    child.on("error", (error) => process.stderr.write(`error control: ${error.message}\n`));
    child.once("message", (message: ControlMessage) => {
      answer = message;
      tell(message);
    });
    child.once("close", () => {
      clearTimeout(killed);
      signal.removeEventListener("abort", end);
      resolve(answer);
    });
    if (child.connected) child.send(order);
  } catch (error) {
    reject(error);
  }
  return promise;
}

function startControl(): ChildProcess {
  const program = fileURLToPath(new URL("control-process.ts", import.meta.url));
  return fork(program, {
    ...withPrivileges(controlPrivileges),
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
  });
}

function announce(message: ControlMessage, json: boolean, isFirst: boolean): void {
  if (message.kind !== "listening" || !isFirst) return;
  const { address, tokenFile } = message;
  if (json) printLine(JSON.stringify({ state: "listening", address, tokenFile }));
  else if (address === null) printLine(`API: only for commands on this box; token in ${tokenFile}`);
  else printLine(`API ${address}, token in ${tokenFile}`);
}
