// What a process may do besides what every process may.
import { existsSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

/** Capabilities (capabilities(7)), as setpriv names them. */
export type Capability =
  | "net_admin"
  | "net_raw"
  | "bpf"
  | "perfmon"
  | "sys_nice"
  | "ipc_lock"
  | "dac_read_search"
  | "setpcap";

/** AF_XDP sockets and XDP programs, also of ports that come later; a place in the processor's queue; pinned frames. */
export const enginePrivileges: readonly Capability[] = [
  "net_admin",
  "net_raw",
  "bpf",
  "perfmon",
  "sys_nice",
  "ipc_lock",
];

/** Of an engine that reads documents and functions where an operator has them. */
export const readingEnginePrivileges: readonly Capability[] = [...enginePrivileges, "dac_read_search"];

/** Of a process that starts engines and control: what engines have, and what it takes to give the others less. */
export const hostPrivileges: readonly Capability[] = [...enginePrivileges, "setpcap"];
export const readingHostPrivileges: readonly Capability[] = [...readingEnginePrivileges, "setpcap"];

/** Of the process that answers operators: it sees shared files that its user may see, and no device. */
export const controlPrivileges: readonly Capability[] = [];

/** For `fork`: the process, and what it starts, has these privileges of ours at the most, for good. */
export function withPrivileges(kept: readonly Capability[]): { execPath?: string; execArgv?: string[] } {
  const [setpriv, ...args] = privilegeArguments(kept);
  return setpriv === undefined ? {} : { execPath: setpriv, execArgv: [...args, process.execPath, ...process.execArgv] };
}

/** The same, before a command line; empty if there is nothing to take away. */
export function privilegeArguments(kept: readonly Capability[]): string[] {
  const setpriv = process.getuid?.() === 0 ? findSetpriv() : undefined;
  if (setpriv === undefined) return [];
  const all = isReachable(programFolder) ? kept : new Set<Capability>([...kept, "dac_read_search"]);
  const bounding = ["-all", ...[...all].map((name) => `+${name}`)].join(",");
  return [setpriv, `--bounding-set=${bounding}`, "--inh-caps=-all", "--no-new-privs"];
}

function findSetpriv(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, "setpriv")).find((file) => existsSync(file));
}

const programFolder = join(import.meta.dirname, "../..");

/** Whether root gets there without a privilege: not where it lies below the home of somebody who keeps that to himself. */
function isReachable(folder: string): boolean {
  const { uid, mode } = statSync(folder);
  return (mode & (uid === 0 ? 0o100 : 0o001)) !== 0 && (folder === "/" || isReachable(dirname(folder)));
}
