// Changes to a chain that carries traffic between two namespaces.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { requestUpgrade, type UpgradeRequest } from "../../runtime/generation/upgrade-socket.ts";
import { createNetwork, type Namespace, type Network, networkObstacle } from "../../runtime/testing/network.ts";
import { makeCountingFunctions, totalSegment } from "../support/counting-function.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { RunningEngine, readFlows, readHistory, readTop, upgrade } from "../support/running-engine.ts";
import { settleAddresses } from "../support/settle-addresses.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const execute = promisify(execFile);
const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

/** Two ports, and these functions in both directions. */
const chain = (functions: Readonly<Record<string, string>>, rest = "") => {
  const names = Object.keys(functions);
  return `chain: changing
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: {${names.map((name) => ` ${name}: ${functions[name]}`).join(",")} }
paths:
  - { from: lan, through: [${names.join(", ")}], to: wan }
  - { from: wan, through: [${names.toReversed().join(", ")}], to: lan }
${rest}`;
};

describe.skipIf(obstacle !== null)(`a chain that is changed while it runs${skipped}`, () => {
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
      { namespace: left, device: "eth0", addresses: ["10.9.0.1/24"] },
      { namespace: box, device: "lan0" },
    );
    await network.link(
      { namespace: right, device: "eth0", addresses: ["10.9.0.2/24"] },
      { namespace: box, device: "wan0" },
    );
  });

  afterEach(async () => {
    engine?.dispose();
    engine = undefined;
    await network.close();
  });

  const start = async (document: string, functions?: string) => {
    const file = `${makeFolder({ "chain.yaml": document })}/chain.yaml`;
    engine = await RunningEngine.start(box, file, functions === undefined ? {} : { functions });
    return engine;
  };

  const step = (running: RunningEngine, request: UpgradeRequest) => requestUpgrade(running.chainFolder, request);

  /** All three steps of a change of packages or to another document, without the command line. */
  const change = async (running: RunningEngine, request: { file?: string; use?: string[]; set?: string[] }) => {
    const { file = null, use = [], set = [] } = request;
    const loaded = { file, use, set, functions: [], cold: false, dryRun: false };
    await step(running, { actor: "test", step: "load", change: loaded });
    const { pauseUs } = await step(running, { actor: "test", step: "switchover" });
    await step(running, { actor: "test", step: "commit" });
    return pauseUs as number;
  };

  /** Echo requests that were answered. */
  const ping = async (count: number) => {
    const { stdout } = await left.run("ping", "-c", String(count), "-i", "0.01", "-W", "2", "10.9.0.2");
    return Number(/(\d+) received/.exec(stdout)?.[1]);
  };

  it("counts on through load and abort, switchover and abort, switchover and commit", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 2 });
    const running = await start(chain({ count: "{ use: counting@1 }" }), functions);
    const total = () => Number(readFileSync(`${running.chainFolder}/${totalSegment("count")}`).readBigUInt64LE());
    /** What five echo requests and their replies add. */
    const added = async () => {
      const before = total();
      expect(await ping(5)).toBe(5);
      return total() - before;
    };
    await settleAddresses(left, right);
    const load = () => upgrade(running, "load", "--use", "count=counting@2");

    expect(await added()).toBe(10);
    expect(await load()).toMatchObject({ state: "loaded", generation: 1 });
    expect(await added()).toBe(10);
    expect(await upgrade(running, "abort")).toMatchObject({ state: "aborted", generation: 1 });
    expect(await added()).toBe(10);

    await load();
    expect(await upgrade(running, "switchover")).toMatchObject({ state: "switched" });
    expect(await added()).toBe(20);
    expect(await upgrade(running, "abort")).toMatchObject({ state: "aborted", generation: 1 });
    expect(await added()).toBe(10);

    await load();
    await upgrade(running, "switchover");
    expect(await upgrade(running, "commit")).toMatchObject({ state: "committed" });
    expect(await added()).toBe(20);

    const { counters } = await readTop(running);
    expect(counters).toEqual([{ function: "count", name: "counted", labels: "", value: total() }]);
    const history = await readHistory(running);
    expect(history.map(({ upgrade: number, state }) => `${number} ${state}`)).toEqual(
      [
        ["init", "loading", "loaded", "aborting", "aborted"],
        ["init", "loading", "loaded", "switching", "switched", "aborting", "aborted"],
        ["init", "loading", "loaded", "switching", "switched", "committing", "committed"],
      ].flatMap((states, index) => states.map((state) => `${index + 1} ${state}`)),
    );
    expect(history.filter(({ durationMs }) => durationMs >= 1000)).toEqual([]);
    expect(history.at(-1)).toMatchObject({
      before: "count=counting@1.0.0",
      after: "count=counting@2.0.0",
      outcome: "ok",
    });
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  it("goes back by itself when nobody commits in time, and says so", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 2 });
    const running = await start(chain({ count: "{ use: counting@1 }" }), functions);
    await upgrade(running, "load", "--use", "count=counting@2", "--commit-within", "300ms");
    await upgrade(running, "switchover");
    await expect.poll(async () => (await upgrade(running, "status")).state, { timeout: 5000 }).toBe("aborted");
    expect((await upgrade(running, "status")).after).toBe("count=counting@1.0.0");
    expect((await readHistory(running)).at(-1)).toMatchObject({ actor: "deadline", state: "aborted" });
    expect(await ping(3)).toBe(3);
  });

  it("refuses what would lose state, unless that is wanted, and what a running chain cannot change", async () => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "2.0.0", step: 2, manifest: { segments: { total: { bytes: 16, layout: 2 } } } },
    );
    const running = await start(chain({ count: "{ use: counting@1 }" }), functions);
    await expect(upgrade(running, "load", "--use", "count=counting@2")).rejects.toThrow("error[state-lost]");
    expect(await upgrade(running, "load", "--use", "count=counting@2", "--dry-run", "--cold")).toMatchObject({
      state: "init",
      stateChanges: [
        { kind: "segment", name: "total", outcome: "lost", why: "its layout was 1, and now is 2" },
        { kind: "column", name: "counting.count", outcome: "kept" },
      ],
    });
    expect(await upgrade(running, "load", "--use", "count=counting@2", "--cold")).toMatchObject({ state: "loaded" });
    await expect(upgrade(running, "commit")).rejects.toThrow("error[upgrade-state]");
    await upgrade(running, "abort");
    const other = makeFolder({ "chain.yaml": `${chain({ count: "{ use: counting@1 }" })}flows: { capacity: 1000 }\n` });
    await expect(upgrade(running, "load", `${other}/chain.yaml`)).rejects.toThrow("error[change-refused] flows");
    const bad = makeFolder({ "chain.yaml": chain({ fw: "{ use: acl@1, config: { rules: 7 } }" }) });
    await expect(upgrade(running, "load", `${bad}/chain.yaml`)).rejects.toThrow("error[config-invalid]");
    expect(await ping(3)).toBe(3);
  });

  it("carries TCP, numbered UDP and pings through changes of version, configuration, order and functions", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 2 });
    const count = "{ use: counting@1 }";
    const fw =
      "{ use: acl@1, config: { default: permit, rules: [{ action: deny, ipProtos: [tcp], destinationPorts: [9] }] } }";
    const running = await start(chain({ count, fw }), functions);
    const documents = makeFolder({
      "both.yaml": chain({ count, fw }),
      "reordered.yaml": chain({ fw, count }),
      "without.yaml": chain({ count }),
      "more.yaml": chain({ count, fw, hello: "{ use: hello@* }" }),
    });
    await settleAddresses(left, right);
    const server = right.spawn("iperf3", ["-s", "-1"], { stdio: "ignore" });
    const udpServer = right.spawn("iperf3", ["-s", "-1", "-p", "5202"], { stdio: "ignore" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const seconds = "12";
    const tcp = left.run("iperf3", "-c", "10.9.0.2", "-t", seconds, "-b", "50M", "-J");
    const udp = left.run(
      ...(["iperf3", "-c", "10.9.0.2", "-p", "5202", "-u", "-l", "100", "-b", "8M", "-t", seconds, "-J"] as const),
    );
    const pings = ping(1000);
    const changes = [
      { use: ["count=counting@2"], file: `${documents}/both.yaml` },
      { file: `${documents}/reordered.yaml` },
      { file: `${documents}/without.yaml` },
      { file: `${documents}/more.yaml` },
      { file: `${documents}/both.yaml`, set: ["fw.default=deny", "fw.rules=[{action: permit}]"] },
    ];
    const pauses: number[] = [];
    const until = performance.now() + 10_000;
    for (let made = 0; performance.now() < until; made++) {
      pauses.push(await change(running, changes[made % changes.length] as (typeof changes)[number]));
    }
    const [tcpEnd, udpEnd] = (await Promise.all([tcp, udp])).map(({ stdout }) => JSON.parse(stdout).end);
    expect(await pings).toBe(1000);
    // What iperf3 itself was too slow to take from its socket did arrive.
    expect(udpEnd.sum.lost_packets).toBe(await socketOverflows(right));
    expect(udpEnd.sum.packets).toBeGreaterThan(100_000);
    expect(udpEnd.streams[0].udp.out_of_order).toBe(0);
    expect(tcpEnd.sum_received.bytes).toBeGreaterThan(50e6);
    expect(pauses.length).toBeGreaterThan(20);
    const sorted = pauses.toSorted((a, b) => a - b);
    console.log(
      `${pauses.length} changes; pause median ${sorted[pauses.length >> 1]?.toFixed(0)} µs, longest ${sorted.at(-1)?.toFixed(0)} µs`,
    );
    server.kill();
    udpServer.kill();
    const top = await readTop(running);
    expect(top.drops).toEqual([]);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  }, 120_000);

  it("ends a function that does not return; the flows go on without it", async () => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "1.1.0", step: 1, each: "if (packet.dscp == 46) { while (true) {} }" },
    );
    const running = await start(
      chain({ count: "{ use: counting@1.1, onFault: bypass }", hello: "{ use: hello@* }" }),
      functions,
    );
    expect(await ping(3)).toBe(3);
    const before = await readFlows(running, "icmp");
    await new Promise((resolve) => setTimeout(resolve, 1500)); // the standby is warm
    await left.run("ping", "-c", "1", "-Q", "0xb8", "-W", "1", "10.9.0.2").catch(() => {});
    await expect.poll(() => running.stderr, { timeout: 5000 }).toContain("quarantine count");
    console.log(/quarantine.*/.exec(running.stderr)?.[0]);
    expect(await ping(3)).toBe(3);
    expect((await readFlows(running, "icmp")).length).toBeGreaterThanOrEqual(before.length);
    expect((await upgrade(running, "run", "--use", "count=counting@1.0.0")).state).toBe("committed");
    expect(await ping(3)).toBe(3);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  it("goes back at once from a generation that does not return before it was committed", async () => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "2.0.0", step: 2, each: "while (true) {}" },
    );
    const running = await start(chain({ count: "{ use: counting@1 }" }), functions);
    await settleAddresses(left, right);
    await upgrade(running, "load", "--use", "count=counting@2");
    await upgrade(running, "switchover").catch(() => {});
    await ping(1).catch(() => {});
    await expect.poll(async () => (await upgrade(running, "status")).state, { timeout: 5000 }).toBe("aborted");
    expect(await upgrade(running, "status")).toMatchObject({ generation: 1, after: "count=counting@1.0.0" });
    expect(await ping(5)).toBe(5);
    expect((await readHistory(running)).at(-1)).toMatchObject({ actor: "watchdog", state: "aborted" });
    expect((await upgrade(running, "run")).state).toBe("committed");
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  it("lets a function trap sixteen times in ten seconds, and then no more", async () => {
    const functions = await makeCountingFunctions({
      version: "1.0.0",
      step: 1,
      each: "if (packet.dscp == 46) unreachable();",
    });
    const running = await start(chain({ count: "{ use: counting@1 }" }), functions);
    await settleAddresses(left, right);
    expect(await ping(3)).toBe(3);
    await left.run("ping", "-c", "20", "-i", "0.02", "-Q", "0xb8", "-W", "1", "10.9.0.2").catch(() => {});
    await expect.poll(() => running.stderr).toContain("quarantine count (counting@1.0.0): trapped too often");
    const { drops } = await readTop(running);
    expect(drops).toEqual([
      { function: null, reason: "fault", count: 16 },
      { function: null, reason: "quarantined", count: 4 },
    ]);
    await left.run("ping", "-c", "1", "-W", "1", "10.9.0.2").catch(() => {});
    expect((await readTop(running)).drops.at(-1)).toMatchObject({ reason: "quarantined", count: 5 });
    // Any change of generation begins anew.
    await upgrade(running, "run");
    expect(await ping(3)).toBe(3);
  });

  it("goes on after functions that do not return again and again", async () => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "1.1.0", step: 1, each: "if (packet.dscp == 46) { while (true) {} }" },
    );
    const running = await start(chain({ count: "{ use: counting@1.1, onFault: bypass }" }), functions);
    await settleAddresses(left, right);
    const outages: number[] = [];
    for (let round = 0; round < 5; round++) {
      await left.run("ping", "-c", "1", "-Q", "0xb8", "-W", "1", "10.9.0.2").catch(() => {});
      await expect
        .poll(() => running.stderr.match(/quarantine count.*/g)?.length ?? 0, { timeout: 5000 })
        .toBe(round + 1);
      outages.push(Number(/after (\d+) ms/.exec(running.stderr.match(/quarantine count.*/g)?.at(-1) ?? "")?.[1]));
      expect(await ping(2)).toBe(2);
      await upgrade(running, "run");
    }
    console.log(`taken over after ${outages.join(", ")} ms, and up to 60 ms until it was noticed`);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });
});

async function socketOverflows(namespace: Namespace): Promise<number> {
  const { stdout } = await namespace.run("cat", "/proc/net/snmp");
  const [names, values] = stdout.split("\n").filter((line) => line.startsWith("Udp:")) as [string, string];
  return Number(values.split(" ")[names.split(" ").indexOf("RcvbufErrors")]);
}

describe("sluice upgrade without a running chain", () => {
  it("says so", async () => {
    const env = { ...process.env, SLUICE_STATE_DIR: makeFolder() };
    await expect(execute(`${projectRoot}/sluice`, ["upgrade", "status"], { env })).rejects.toThrow(
      "error[not-running]",
    );
  });
});
