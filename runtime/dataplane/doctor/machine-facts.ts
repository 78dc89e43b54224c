// Reads what judge-machine.ts judges.

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, statfsSync } from "node:fs";
import { arch, availableParallelism, release } from "node:os";
import { dirname } from "node:path";
import { loadAddon, steeringProgram } from "../load-addon.ts";
import { stateRoot } from "../state-folder.ts";

export interface MachineFacts {
  readonly kernelRelease: string;
  readonly arch: string;
  readonly cpus: number;
  /** Bit numbers as in linux/capability.h. */
  readonly capabilities: bigint;
  /** RLIMIT_MEMLOCK in bytes, Infinity if there is none. */
  readonly lockLimit: number;
  readonly hasAfxdpSockets: boolean;
  readonly hasBtf: boolean;
  /** net.core.bpf_jit_enable, null where it cannot be read (other network namespaces). */
  readonly jit: string | null;
  readonly hugePages: number;
  readonly nodeVersion: string;
  readonly napiVersion: number;
  /** Bytes of address space that V8 reserves for a WebAssembly memory of one page. */
  readonly reservedBytes: number;
  /** Why the native addon or the XDP program cannot be loaded, or null. */
  readonly addonProblem: string | null;
  readonly clangVersion: string | null;
  readonly stateFolder: { readonly path: string; readonly isTmpfs: boolean; readonly isWritable: boolean };
}

const TMPFS_MAGIC = 0x01021994;

export function collectMachine(): MachineFacts {
  const status = readFileSync("/proc/self/status", "utf8");
  return {
    kernelRelease: release(),
    arch: arch(),
    cpus: availableParallelism(),
    capabilities: BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`),
    lockLimit: readLockLimit(),
    hasAfxdpSockets: /^XDP\s/m.test(readIfThere("/proc/net/protocols") ?? ""),
    hasBtf: existsSync("/sys/kernel/btf/vmlinux"),
    jit: readIfThere("/proc/sys/net/core/bpf_jit_enable")?.trim() ?? null,
    hugePages: Number(/^HugePages_Total:\s*(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0),
    nodeVersion: process.version,
    napiVersion: Number(process.versions.napi),
    reservedBytes: measureReservation(),
    addonProblem: findAddonProblem(),
    clangVersion: readClangVersion(),
    stateFolder: examineStateFolder(stateRoot()),
  };
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function readLockLimit(): number {
  const soft = /^Max locked memory\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}

function measureReservation(): number {
  const before = addressSpaceBytes();
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const after = addressSpaceBytes();
  return memory.buffer.byteLength === 0 ? 0 : after - before;
}

function addressSpaceBytes(): number {
  return Number(/^VmSize:\s*(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? 0) * 1024;
}

function findAddonProblem(): string | null {
  try {
    loadAddon();
  } catch (error) {
    return (error as Error).message;
  }
  return existsSync(steeringProgram) ? null : `${steeringProgram} is missing`;
}

function readClangVersion(): string | null {
  const { status, stdout } = spawnSync("clang", ["--version"], { encoding: "utf8" });
  return status === 0 ? (stdout.split("\n")[0] ?? null) : null;
}

function examineStateFolder(path: string): MachineFacts["stateFolder"] {
  let existing = path;
  while (!existsSync(existing)) existing = dirname(existing);
  return { path, isTmpfs: statfsSync(existing).type === TMPFS_MAGIC, isWritable: isWritable(existing) };
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
