// `sluice up`: the whole box. This process hosts the engines; control runs in another one, which may die and is started
// again, and packets do not notice.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ControlOptions, NamedChain } from "../control/control.ts";
import { dropAllMaterials } from "../control/materials.ts";
import { controlPrivileges, withPrivileges } from "../dataplane/privileges.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { ControlMessage, ControlOrder } from "./control-protocol.ts";
import { ChainHost, type HostOptions } from "./host.ts";
import { printLine } from "./output.ts";

const PAUSE_MS = 1000;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Until a signal comes. Throws what keeps control from starting; then nothing is left. */
export async function runBox(
  options: HostOptions & { readonly control: ControlOptions },
  named: readonly NamedChain[],
): Promise<void> {
  const host = new ChainHost(options);
  await host.listen();
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
  if (options.json) printLine(JSON.stringify({ state: "hosting", pid: process.pid }));
  else printLine(`hosting chains (process ${process.pid}); declare them with \`sluice control\``);
  const ended = new AbortController();
  for (const signal of signals) process.once(signal, () => ended.abort());
  await new Promise((resolve) => ended.signal.addEventListener("abort", resolve));
  await host.close();
  dropAllMaterials();
}

async function keepControl(order: ControlOrder, signal: AbortSignal, json: boolean): Promise<void> {
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    const child = startControl();
    const ended = once(child, "close");
    const end = () => child.kill("SIGTERM");
    signal.addEventListener("abort", end, { once: true });
    child.send(order);
    child.once("message", (message: ControlMessage) => announce(message, json, isFirst));
    const refused = once(child, "message").then(
      ([message]) => (message as ControlMessage).kind === "refused" && message,
    );
    await ended;
    signal.removeEventListener("abort", end);
    if (signal.aborted) return;
    const answer = await Promise.race([refused, sleep(0, false as const)]);
    if (isFirst && answer !== false) throw new SluiceError(...(answer.faults as [Fault, ...Fault[]]));
    process.stderr.write(`control ended (process ${child.pid}); it is started again\n`);
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
  }
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
