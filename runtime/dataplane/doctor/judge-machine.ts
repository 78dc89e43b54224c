// What the facts about a machine mean. Pure.

import type { Finding } from "../doctor.ts";
import type { MachineFacts } from "./machine-facts.ts";

type Verdict = Omit<Finding, "subject">;

const CAP_NET_ADMIN = 12n;
const CAP_NET_RAW = 13n;
const CAP_IPC_LOCK = 14n;
const CAP_SYS_ADMIN = 21n;
const CAP_BPF = 39n;

/** The oldest kernel with all that is needed: XDP links (5.9), need_wakeup (5.4). */
const OLDEST_KERNEL = [5, 9] as const;
/** From here on one system call sends a whole ring of frames in copy mode (XDP_MAX_TX_SKB_BUDGET). */
const BATCHED_SEND_KERNEL = [6, 18] as const;
const OLDEST_NODE = 24;
const OLDEST_NAPI = 9;
const GUARDED_BYTES = 4 * 2 ** 30;
/** A lane's frames: 16384 slots of 2 KiB, registered once per port, on two ports. */
const USUAL_LOCKED_BYTES = 64 * 2 ** 20;

export function judgeMachine(facts: MachineFacts): Finding[] {
  const verdicts: Record<string, Verdict> = {
    kernel: judgeKernel(facts.kernelRelease),
    processor: judgeProcessor(facts),
    "AF_XDP sockets": judgeSockets(facts),
    ...judgePrivileges(facts),
    "memory lock limit": judgeLockLimit(facts),
    "BPF JIT": judgeJit(facts.jit),
    BTF: judgeBtf(facts.hasBtf),
    "huge pages": judgeHugePages(facts.hugePages),
    "Node.js": judgeNode(facts),
    "V8 trap handler": judgeTrapHandler(facts.reservedBytes),
    "native addon": judgeAddon(facts.addonProblem),
    clang: judgeClang(facts.clangVersion),
    "state folder": judgeStateFolder(facts.stateFolder),
  };
  return Object.entries(verdicts).map(([subject, verdict]) => ({ subject, ...verdict }));
}

function isAtLeast(release: string, [major, minor]: readonly [number, number]): boolean {
  const [foundMajor = 0, foundMinor = 0] = release.split(/[.-]/).map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

function judgeKernel(found: string): Verdict {
  if (!isAtLeast(found, OLDEST_KERNEL)) {
    return {
      status: "fail",
      found,
      meaning: "too old: XDP programs cannot be attached so that they go with their process",
      mend: `boot Linux ${OLDEST_KERNEL.join(".")} or newer`,
    };
  }
  const meaning = isAtLeast(found, BATCHED_SEND_KERNEL)
    ? "everything that AF_XDP ports use is there"
    : `works; from ${BATCHED_SEND_KERNEL.join(".")} on, copy mode needs fewer system calls to send`;
  return { status: "ok", found, meaning };
}

function judgeProcessor({ arch, cpus }: MachineFacts): Verdict {
  const found = `${arch}, ${cpus} ${cpus === 1 ? "core" : "cores"}`;
  if (arch !== "x64")
    return { status: "fail", found, meaning: "only x86-64 is supported", mend: "use an x86-64 machine" };
  if (cpus > 1) return { status: "ok", found, meaning: "a lane can have a core of its own" };
  const meaning = "the lane shares its core with the kernel's packet work and everything else";
  return { status: "warn", found, meaning, mend: "give the machine a second core" };
}

function judgeSockets({ hasAfxdpSockets }: MachineFacts): Verdict {
  if (hasAfxdpSockets) return { status: "ok", found: "yes", meaning: "the kernel can hand frames to this process" };
  const meaning = "ports on real devices cannot open; replay works";
  return { status: "fail", found: "no", meaning, mend: "boot a kernel with CONFIG_XDP_SOCKETS=y" };
}

function judgePrivileges({ capabilities }: MachineFacts): Record<string, Verdict> {
  const has = (bit: bigint) => ((capabilities >> bit) & 1n) === 1n;
  const judge = (name: string, held: boolean, use: string): Verdict =>
    held
      ? { status: "ok", found: "held", meaning: use }
      : { status: "fail", found: "missing", meaning: `${use}: not possible`, mend: `run as root, or with ${name}` };
  return {
    CAP_NET_ADMIN: judge("CAP_NET_ADMIN", has(CAP_NET_ADMIN), "attach XDP programs to devices"),
    CAP_NET_RAW: judge("CAP_NET_RAW", has(CAP_NET_RAW), "open AF_XDP sockets"),
    CAP_BPF: judge("CAP_BPF", has(CAP_BPF) || has(CAP_SYS_ADMIN), "load the XDP program"),
  };
}

function judgeLockLimit({ capabilities, lockLimit }: MachineFacts): Verdict {
  const limit = lockLimit === Number.POSITIVE_INFINITY ? "none" : `${Math.floor(lockLimit / 1024)} KiB`;
  if (((capabilities >> CAP_IPC_LOCK) & 1n) === 1n) {
    return {
      status: "ok",
      found: `${limit}, CAP_IPC_LOCK held`,
      meaning: "the limit does not bind: frames can be locked",
    };
  }
  if (lockLimit >= USUAL_LOCKED_BYTES) return { status: "ok", found: limit, meaning: "frames can be locked in memory" };
  return {
    status: "fail",
    found: `${limit}, CAP_IPC_LOCK missing`,
    meaning: "AF_XDP sockets cannot lock the frames' memory (ENOBUFS)",
    mend: "run with CAP_IPC_LOCK, or raise it: ulimit -l unlimited, LimitMEMLOCK=infinity",
  };
}

function judgeJit(jit: string | null): Verdict {
  if (jit === null)
    return { status: "ok", found: "not visible here", meaning: "on, in all kernels that distributions ship" };
  if (jit !== "0") return { status: "ok", found: "on", meaning: "the XDP program runs as machine code" };
  const meaning = "the XDP program is interpreted, several times slower";
  return { status: "warn", found: "off", meaning, mend: "sysctl -w net.core.bpf_jit_enable=1" };
}

function judgeBtf(hasBtf: boolean): Verdict {
  return hasBtf
    ? { status: "ok", found: "yes", meaning: "bpftool can show the XDP program with its source" }
    : { status: "ok", found: "no", meaning: "not needed to run; bpftool shows less" };
}

function judgeHugePages(pages: number): Verdict {
  return { status: "ok", found: pages === 0 ? "none reserved" : `${pages} reserved`, meaning: "not used" };
}

function judgeNode({ nodeVersion, napiVersion }: MachineFacts): Verdict {
  const found = `${nodeVersion}, N-API ${napiVersion}`;
  const major = Number(/^v(\d+)/.exec(nodeVersion)?.[1]);
  if (major >= OLDEST_NODE && napiVersion >= OLDEST_NAPI)
    return { status: "ok", found, meaning: "runs the engine and loads the addon" };
  const meaning = "runs neither the TypeScript sources nor the addon";
  return { status: "fail", found, meaning, mend: "start through ./sluice or npm: they take the pinned Node.js" };
}

function judgeTrapHandler(reservedBytes: number): Verdict {
  const found = `${(reservedBytes / 2 ** 30).toFixed(1)} GiB reserved per memory`;
  if (reservedBytes >= GUARDED_BYTES)
    return { status: "ok", found, meaning: "a function's forbidden access traps, and the process lives" };
  return {
    status: "fail",
    found,
    meaning: "a function's forbidden access would end the process",
    mend: "lift the limit on address space (ulimit -v unlimited), drop --disable-wasm-trap-handler",
  };
}

function judgeAddon(problem: string | null): Verdict {
  if (problem === null) return { status: "ok", found: "loads", meaning: "packets can be processed" };
  return { status: "fail", found: problem, meaning: "no chain can run", mend: "npm run build" };
}

function judgeClang(version: string | null): Verdict {
  if (version !== null) return { status: "ok", found: version, meaning: "the XDP program can be built" };
  const meaning = "only needed to build the XDP program";
  return { status: "warn", found: "not installed", meaning, mend: "apt-get install clang" };
}

function judgeStateFolder({ path, isTmpfs, isWritable }: MachineFacts["stateFolder"]): Verdict {
  if (!isWritable) {
    const meaning = "a running chain cannot keep its state there";
    return {
      status: "fail",
      found: `${path}, not writable`,
      meaning,
      mend: "set SLUICE_STATE_DIR to a folder in a tmpfs",
    };
  }
  if (isTmpfs) return { status: "ok", found: `${path}, tmpfs`, meaning: "counters and frames live in memory only" };
  const meaning = "counters and frames would be written to a disk";
  return { status: "warn", found: `${path}, no tmpfs`, meaning, mend: "set SLUICE_STATE_DIR to a folder in a tmpfs" };
}
