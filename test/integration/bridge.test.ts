import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createNetwork, type Namespace, type Network, networkObstacle } from "../../runtime/testing/network.ts";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { projectRoot, runSluice, sluicePath } from "../support/run-sluice.ts";
import { RunningEngine, readFlows, readTop } from "../support/running-engine.ts";
import { sendFrames } from "../support/send-frames.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const execute = promisify(execFile);
const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const office = `${projectRoot}/chains/office.yaml`;

describe.skipIf(obstacle !== null)(`a chain between two namespaces${skipped}`, () => {
  let network: Network;
  let left: Namespace;
  let right: Namespace;
  let box: Namespace;
  let engine: RunningEngine | undefined;

  beforeEach(async () => {
    network = await createNetwork();
    [left, right, box] = await Promise.all([
      network.namespace("left"),
      network.namespace("right"),
      network.namespace("box"),
    ]);
    await network.link(
      { namespace: left, device: "eth0", addresses: ["10.9.0.1/24", "fd09::1/64"], macAddress: "02:00:00:00:00:01" },
      { namespace: box, device: "lan0" },
    );
    await network.link(
      { namespace: right, device: "eth0", addresses: ["10.9.0.2/24", "fd09::2/64"], macAddress: "02:00:00:00:00:02" },
      { namespace: box, device: "wan0" },
    );
  });

  afterEach(async () => {
    engine?.dispose();
    engine = undefined;
    await network.close();
  });

  const start = async () => {
    engine = await RunningEngine.start(box, office);
    return engine;
  };

  /** Sends frames on one side and returns what arrives on the other. */
  const pass = async (from: Namespace, to: Namespace, frames: readonly Uint8Array[]) => {
    const capture = await to.capture("eth0", "ether src 02:00:00:00:0a:0a", "in");
    await sendFrames(from, "eth0", frames);
    return capture.stop();
  };

  const packet = (line: string) => encodePacket(`ether 02:00:00:00:0a:0a > 02:00:00:00:0b:0b ${line}`);

  it("carries frames of both families, VLANs and all sizes unchanged in both directions", async () => {
    await start();
    const frames = [
      packet('udp 10.9.0.7:5000 > 10.9.0.8:53 payload "query" pad 60'),
      packet("tcp [fd09::7]:40000 > [fd09::8]:80 syn seq 1"),
      packet("vlan 100 udp 10.9.0.7:5000 > 10.9.0.8:53"),
      packet("vlan 200 vlan 100 udp [fd09::7]:5000 > [fd09::8]:53"),
      packet("udp 10.9.0.7:1 > 10.9.0.8:2 pad 60"),
      packet(`udp 10.9.0.7:1 > 10.9.0.8:2 payload "${"x".repeat(1472)}"`),
      packet("sctp 10.9.0.7:1 > 10.9.0.8:2"),
      packet("arp who-has 10.9.0.8 tell 10.9.0.7"),
    ];
    expect(frames[5]?.length).toBe(1514);
    for (const [from, to] of [
      [left, right],
      [right, left],
    ] as const) {
      const arrived = await pass(from, to, frames);
      expect(arrived.map((frame) => frame.toString("hex"))).toEqual(
        frames.map((frame) => Buffer.from(frame).toString("hex")),
      );
    }
  });

  it("drops what the access list denies, and only that", async () => {
    const running = await start();
    const arrived = await pass(left, right, [
      packet("tcp 10.9.0.7:40000 > 10.9.0.8:8080 syn"),
      packet("tcp 10.9.0.7:40000 > 10.9.0.8:8081 syn"),
      packet("tcp [fd09::7]:40000 > [fd09::8]:3128 syn"),
      packet("udp 10.9.0.7:40000 > 10.9.0.8:445"),
    ]);
    expect(arrived.map((frame) => formatPacket(frame))).toEqual([
      formatPacket(packet("tcp 10.9.0.7:40000 > 10.9.0.8:8081 syn")),
    ]);
    const top = await readTop(running);
    expect(top.drops).toContainEqual({ function: "fw", reason: "rule", count: 3 });
  });

  it("resolves addresses and answers pings of both families through the bridge", async () => {
    await start();
    for (const host of ["10.9.0.2", "fd09::2"]) {
      const { stdout } = await left.run("ping", "-c", "3", "-i", "0.1", "-W", "2", host);
      expect(stdout).toContain("3 received");
    }
  });

  it("forwards a million frames of all sizes intact and loses no slot", async () => {
    const running = await start();
    const { stdout } = await execute(`${projectRoot}/build/native/frame_exchange`, [
      ...[left.name, "eth0", right.name, "eth0"],
      ...["1000000", "128"],
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ received: 1_000_000, corrupt: 0 });
    const { status, last } = await running.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  }, 240_000);

  it("releases its devices and its state when it is stopped", async () => {
    const running = await start();
    expect(await attachedPrograms(box)).toBe(2);
    expect(await promiscuousDevices(box)).toEqual(["lan0", "wan0"]);
    const { status, stderr } = await running.end("SIGINT");
    expect({ status, stderr: stderr.replaceAll(/^info .*\n/gm, "") }).toEqual({ status: 0, stderr: "" });
    expect(await attachedPrograms(box)).toBe(0);
    expect(await promiscuousDevices(box)).toEqual([]);
    expect(readdirSync(running.stateFolder)).toEqual([]);
  });

  it("leaves nothing attached when it is killed, and starts again", async () => {
    const killed = await start();
    await killed.end("SIGKILL");
    expect(await attachedPrograms(box)).toBe(0);
    expect(await promiscuousDevices(box)).toEqual([]);
    engine = await RunningEngine.start(box, office, { stateFolder: killed.stateFolder });
    const { stdout } = await left.run("ping", "-c", "2", "-i", "0.1", "-W", "2", "10.9.0.2");
    expect(stdout).toContain("2 received");
    expect(await readFlows(engine, "icmp")).toMatchObject([
      { proto: "ICMP", src_ip: "10.9.0.1", packets_to_client: 2 },
    ]);
    expect((await engine.end()).status).toBe(0);
    expect(existsSync(`${killed.stateFolder}/office`)).toBe(false);
  });

  it("keeps its flows when it is killed, and says so when it starts again", async () => {
    const killed = await start();
    await left.run("ping", "-c", "2", "-i", "0.1", "-W", "2", "10.9.0.2");
    const before = await readFlows(killed, "icmp");
    await killed.end("SIGKILL");
    engine = await RunningEngine.start(box, office, { stateFolder: killed.stateFolder });
    expect(before).toHaveLength(1);
    expect(engine.description.recovery).toMatchObject({ fresh: false, dropped: 0 });
    expect(engine.description.recovery.kept).toBeGreaterThanOrEqual(1);
    expect(await readFlows(engine, "icmp")).toEqual(before);
    await engine.end("SIGKILL");
    const changed = makeFolder({ "office.yaml": `${readFileSync(office, "utf8")}flows: { capacity: 1024 }\n` });
    engine = await RunningEngine.start(box, `${changed}/office.yaml`, { stateFolder: killed.stateFolder });
    expect(engine.description.recovery).toMatchObject({ fresh: true, kept: 0 });
  });

  it("ends with one clear error when a device goes away, and releases the other", async () => {
    const running = await start();
    await box.run("ip", "link", "delete", "wan0");
    const { status, stderr } = await running.ended();
    expect(stderr).toContain("error[device-vanished] wan0:");
    expect(status).toBe(1);
    expect(await attachedPrograms(box)).toBe(0);
    expect(readdirSync(running.stateFolder)).toEqual([]);
  });

  it("refuses to run a chain twice", async () => {
    const running = await start();
    await expect(RunningEngine.start(box, office, { stateFolder: running.stateFolder })).rejects.toThrow(
      "error[chain-running] office:",
    );
  });

  it("says which device is missing and leaves the other alone", async () => {
    await box.run("ip", "link", "delete", "wan0");
    await expect(start()).rejects.toThrow("error[device-missing] wan0:");
    expect(await attachedPrograms(box)).toBe(0);
  });
});

describe("sluice up without what it needs", () => {
  it("refuses a chain whose ports have no device to run on", () => {
    const { status, stderr } = runSluice(["up", `${projectRoot}/test/fixtures/chains/memory-ports.yaml`]);
    expect(stderr).toContain("error[usage]");
    expect(status).toBe(2);
  });

  it("needs a running engine to show counters", () => {
    const { status, stderr } = runSluice(["top", "no-such-chain"], { command: sluicePath });
    expect(stderr).toContain("error[not-running]");
    expect(status).toBe(1);
  });
});

/** Those that take frames for anybody. */
async function promiscuousDevices({ name }: Namespace): Promise<string[]> {
  const { stdout } = await execute("ip", ["-n", name, "-json", "-details", "link", "show"]);
  const links = JSON.parse(stdout) as { ifname: string; promiscuity: number }[];
  return links
    .filter(({ promiscuity }) => promiscuity > 0)
    .map(({ ifname }) => ifname)
    .toSorted();
}

async function attachedPrograms({ name }: Namespace): Promise<number> {
  const { stdout } = await execute("ip", ["-n", name, "-details", "link", "show"]);
  return stdout.split("\n").filter((line) => line.includes("prog/xdp")).length;
}
