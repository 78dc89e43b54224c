import { describe, expect, it } from "vitest";
import { formatFindings } from "../../runtime/cli/doctor.ts";
import { type DeviceFacts, parseFeatures, parseQueues } from "../../runtime/dataplane/doctor/device-facts.ts";
import { judgeDevice } from "../../runtime/dataplane/doctor/judge-device.ts";
import { judgeMachine } from "../../runtime/dataplane/doctor/judge-machine.ts";
import { collectMachine, type MachineFacts } from "../../runtime/dataplane/doctor/machine-facts.ts";
import type { Finding } from "../../runtime/dataplane/doctor.ts";

const GIB = 2 ** 30;

const soundMachine: MachineFacts = {
  kernelRelease: "6.1.0-18-amd64",
  arch: "x64",
  cpus: 4,
  capabilities: 0x1ffffffffffn,
  lockLimit: 8 * 2 ** 20,
  hasAfxdpSockets: true,
  hasBtf: true,
  jit: "1",
  hugePages: 0,
  nodeVersion: "v26.10.0",
  napiVersion: 10,
  reservedBytes: 8 * GIB,
  addonProblem: null,
  clangVersion: "clang 14",
  stateFolder: { path: "/dev/shm/sluice-0", isTmpfs: true, isWritable: true },
};

const soundDevice: DeviceFacts = {
  name: "wan0",
  link: { isUp: true, hasCarrier: true, mtu: 1500, program: null },
  driver: "ice",
  queues: 1,
  features: new Set(["rx-checksumming"]),
  probes: null,
};

const troubles = (findings: readonly Finding[]) =>
  findings.filter(({ status }) => status !== "ok").map(({ subject, status }) => `${status} ${subject}`);

describe("the doctor, of a machine", () => {
  it("finds no fault with a sound one", () => {
    expect(troubles(judgeMachine(soundMachine))).toEqual([]);
  });

  const cases: readonly [string, Partial<MachineFacts>, readonly string[]][] = [
    ["a kernel without XDP links", { kernelRelease: "5.4.0" }, ["fail kernel"]],
    ["another processor", { arch: "arm64" }, ["fail processor"]],
    ["a single core", { cpus: 1 }, ["warn processor"]],
    ["no AF_XDP sockets", { hasAfxdpSockets: false }, ["fail AF_XDP sockets"]],
    ["an interpreted XDP program", { jit: "0" }, ["warn BPF JIT"]],
    ["an old Node.js", { nodeVersion: "v20.19.0" }, ["fail Node.js"]],
    ["memories without guard pages", { reservedBytes: 65536 }, ["fail V8 trap handler"]],
    ["an addon that does not load", { addonProblem: "it is not built" }, ["fail native addon"]],
    ["no clang", { clangVersion: null }, ["warn clang"]],
    [
      "a state folder on a disk",
      { stateFolder: { path: "/var", isTmpfs: false, isWritable: true } },
      ["warn state folder"],
    ],
    [
      "a state folder that cannot be written",
      { stateFolder: { path: "/var", isTmpfs: false, isWritable: false } },
      ["fail state folder"],
    ],
    [
      "no privileges",
      { capabilities: 0n },
      ["fail CAP_NET_ADMIN", "fail CAP_NET_RAW", "fail CAP_BPF", "fail memory lock limit"],
    ],
  ];
  it.each(cases)("names %s", (_name, facts, expected) => {
    expect(troubles(judgeMachine({ ...soundMachine, ...facts }))).toEqual(expected);
  });

  it("takes CAP_SYS_ADMIN for CAP_BPF, and a high limit for CAP_IPC_LOCK", () => {
    const capabilities = (1n << 12n) | (1n << 13n) | (1n << 21n);
    const lockLimit = Number.POSITIVE_INFINITY;
    expect(troubles(judgeMachine({ ...soundMachine, capabilities, lockLimit }))).toEqual([]);
  });

  it("says how to mend whatever it warns of", () => {
    const broken = judgeMachine({
      ...soundMachine,
      ...{ kernelRelease: "4.19", capabilities: 0n, jit: "0", nodeVersion: "v18", reservedBytes: 0, cpus: 1 },
      ...{ hasAfxdpSockets: false, addonProblem: "none", clangVersion: null },
    });
    for (const finding of broken) expect(finding.mend === undefined).toBe(finding.status === "ok");
  });

  it("reads this machine: V8 guards its memories, Node.js is the pinned one", () => {
    const facts = collectMachine();
    expect(facts.reservedBytes).toBeGreaterThanOrEqual(4 * GIB);
    expect(facts.nodeVersion).toBe(process.version);
    expect(facts.cpus).toBeGreaterThan(0);
  });
});

describe("the doctor, of a device", () => {
  it("finds no fault with a sound one", () => {
    expect(troubles(judgeDevice(soundDevice))).toEqual([]);
  });

  it("says only that a missing device is missing", () => {
    expect(troubles(judgeDevice({ ...soundDevice, link: null }))).toEqual(["fail wan0"]);
  });

  const link = { isUp: true, hasCarrier: true, mtu: 1500, program: null };
  const cases: readonly [string, Partial<DeviceFacts>, readonly string[]][] = [
    ["a device that is down", { link: { ...link, isUp: false, hasCarrier: false } }, ["warn wan0 state"]],
    ["frames that fit no slot", { link: { ...link, mtu: 1771 } }, ["warn wan0 MTU"]],
    ["somebody else's program", { link: { ...link, program: 7 } }, ["warn wan0 XDP program"]],
    ["queues without a socket", { queues: 8 }, ["warn wan0 queues"]],
    ["VLAN tags that vanish", { features: new Set(["rx-vlan-offload"]) }, ["warn wan0 VLAN tags"]],
    ["merged segments", { features: new Set(["large-receive-offload"]) }, ["warn wan0 merged segments"]],
    ["a veth's far end", { driver: "veth" }, ["warn wan0 far end"]],
    ["that no mode works", { probes: [{ mode: "generic", why: "not permitted" }] }, ["fail wan0 XDP modes"]],
  ];
  it.each(cases)("names %s", (_name, facts, expected) => {
    expect(troubles(judgeDevice({ ...soundDevice, ...facts }))).toEqual(expected);
  });

  it("minds merged segments after the driver's hook only where generic mode is all there is", () => {
    const features = new Set(["generic-receive-offload"]);
    const probes = [
      { mode: "copy", why: "not supported" },
      { mode: "generic", why: null },
    ] as const;
    expect(troubles(judgeDevice({ ...soundDevice, features }))).toEqual([]);
    expect(troubles(judgeDevice({ ...soundDevice, features, probes }))).toEqual(["warn wan0 merged segments"]);
  });

  it("reads what ethtool prints", () => {
    expect(parseFeatures("rx-vlan-offload: on\n\ttx-checksum-ipv4: off [fixed]\n\trx-gro-hw: on [fixed]\n")).toEqual(
      new Set(["rx-vlan-offload", "rx-gro-hw"]),
    );
    const maximums = "Pre-set maximums:\nRX:\t\t16\nCombined:\t16\n";
    expect(parseQueues(`${maximums}Current hardware settings:\nRX:\t\tn/a\nCombined:\t4\n`)).toBe(4);
    expect(parseQueues("")).toBeNull();
  });
});

it("the doctor prints a line per finding, and one more to mend it", () => {
  const lines = formatFindings([
    { subject: "kernel", status: "ok", found: "6.1", meaning: "fine" },
    { subject: "clang", status: "warn", found: "none", meaning: "cannot build", mend: "install it" },
  ]);
  expect(lines).toEqual([
    "ok    kernel  6.1: fine",
    "warn  clang   none: cannot build",
    "              mend: install it",
  ]);
});
