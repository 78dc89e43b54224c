// What a process may do, as the kernel says it (proc(5), capabilities(7)).
import { readFileSync } from "node:fs";

const names: Readonly<Record<number, string>> = {
  2: "dac_read_search",
  8: "setpcap",
  12: "net_admin",
  13: "net_raw",
  14: "ipc_lock",
  23: "sys_nice",
  38: "perfmon",
  39: "bpf",
};

export interface Privileges {
  /** Those that it has, and those that whatever it starts may have at the most; sorted. */
  readonly effective: readonly string[];
  readonly bounding: readonly string[];
  readonly inheritable: readonly string[];
  readonly noNewPrivileges: boolean;
}

export function privilegesOf(pid: number): Privileges {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\w+)$`, "m").exec(status)?.[1] as string;
  return {
    effective: capabilities(field("CapEff")),
    bounding: capabilities(field("CapBnd")),
    inheritable: capabilities(field("CapInh")),
    noNewPrivileges: field("NoNewPrivs") === "1",
  };
}

/** Capabilities that are not in the table appear as numbers. */
function capabilities(mask: string): string[] {
  const bits = BigInt(`0x${mask}`);
  const numbers = Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (bits >> BigInt(bit)) & 1n);
  return numbers.map((bit) => names[bit] ?? String(bit)).sort();
}

/** Of a process that has exactly these, and can never have more. */
export function exactly(...capabilities: readonly string[]): Privileges {
  const sorted = [...capabilities].sort();
  return { effective: sorted, bounding: sorted, inheritable: [], noNewPrivileges: true };
}
