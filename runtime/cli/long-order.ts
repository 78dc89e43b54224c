// Commands that go on until they are stopped: what they need to know, and how they begin.
//
// Such a process gives up what it was given and has no use for, before it does anything. Capabilities belong to threads,
// and Node has many from the start; so it is the program that is replaced, by itself, through setpriv. It keeps its pid.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deserialize, serialize } from "node:v8";
import type { ControlOptions, NamedChain } from "../control/control.ts";
import {
  type Capability,
  controlPrivileges,
  hostPrivileges,
  privilegeArguments,
  readingEnginePrivileges,
  readingHostPrivileges,
} from "../dataplane/privileges.ts";
import { ensureStateRoot, stateRoot } from "../dataplane/state-folder.ts";
import type { EngineOptions } from "./engine-protocol.ts";
import type { HostOptions } from "./host.ts";

export type LongOrder =
  | {
      readonly kind: "box";
      readonly options: HostOptions & { readonly control: ControlOptions };
      readonly named: readonly NamedChain[];
    }
  | { readonly kind: "host"; readonly options: HostOptions }
  | { readonly kind: "control"; readonly options: ControlOptions; readonly json: boolean }
  | { readonly kind: "chain"; readonly file: string; readonly options: EngineOptions; readonly giveUpAfter: number }
  | { readonly kind: "engine"; readonly file: string; readonly options: EngineOptions };

const VARIABLE = "SLUICE_ORDER";
/** The kernel takes 128 KiB at the most (MAX_ARG_STRLEN). */
const VARIABLE_BYTES = 120_000;
const FILE_PREFIX = "order-";

const privileges: Readonly<Record<LongOrder["kind"], readonly Capability[]>> = {
  box: hostPrivileges,
  host: hostPrivileges,
  control: controlPrivileges,
  // These read documents and functions wherever an operator has them, as long as they run.
  chain: readingHostPrivileges,
  engine: readingEnginePrivileges,
};

/** Does not return where there is something to give up; resolves when the command has ended. */
export async function carryOut(order: LongOrder): Promise<void> {
  const [setpriv, ...args] = privilegeArguments(privileges[order.kind]);
  if (setpriv !== undefined && process.execve !== undefined) {
    const program = fileURLToPath(new URL("long-process.ts", import.meta.url));
    // What stands behind the file is for those who look at the list of processes.
    const rest = [...process.execArgv, program, store(order), ...process.argv.slice(2)];
    process.execve(setpriv, [setpriv, ...args, process.execPath, ...rest]);
  }
  // A tenth of a second that no other command should wait for.
  const { runOrder } = await import("./run-order.ts");
  await runOrder(order);
}

/** Where the next program finds the order: with it, so that nothing stays if it is ended before it has begun; or a file. */
function store(order: LongOrder): string {
  const bytes = serialize(order);
  const text = bytes.toString("base64");
  if (text.length <= VARIABLE_BYTES) {
    process.env[VARIABLE] = text;
    return VARIABLE;
  }
  ensureStateRoot();
  removeAbandoned();
  const file = join(stateRoot(), `${FILE_PREFIX}${process.pid}`);
  writeFileSync(file, bytes, { mode: 0o600 });
  return file;
}

/** Of programs that were ended before they took theirs. */
function removeAbandoned(): void {
  for (const name of readdirSync(stateRoot())) {
    const pid = name.startsWith(FILE_PREFIX) ? name.slice(FILE_PREFIX.length) : "";
    if (/^\d+$/.test(pid) && !existsSync(`/proc/${pid}`)) rmSync(join(stateRoot(), name), { force: true });
  }
}

export function takeOrder(place: string): LongOrder {
  if (place === VARIABLE) {
    const text = process.env[VARIABLE] ?? "";
    delete process.env[VARIABLE];
    return deserialize(Buffer.from(text, "base64")) as LongOrder;
  }
  const order = deserialize(readFileSync(place)) as LongOrder;
  rmSync(place);
  return order;
}
