// Changes to a chain that carries traffic between two namespaces.
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { requestUpgrade, type UpgradeRequest } from "../../runtime/generation/upgrade-socket.ts";
import { createNetwork, type Namespace, type Network, networkObstacle } from "../../runtime/testing/network.ts";
import { makeCountingFunctions, totalSegment } from "../support/counting-function.ts";
import { pingAnswered } from "../support/ping.ts";
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

  const ping = (count: number) => pingAnswered(left, "10.9.0.2", count);

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

  it("says on the way back what became of the flows that began meanwhile", async () => {
    const wide = { segments: { total: { bytes: 16, layout: 2, migratesFrom: [1] } } };
    const narrow = { segments: { total: { bytes: 8, layout: 1, migratesFrom: [2] } } };
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "1.1.0", step: 1, manifest: narrow, before: migration },
      { version: "2.0.0", step: 1, manifest: wide, before: migration },
    );
    const running = await start(chain({ count: "{ use: counting@1.0.0 }" }), functions);
    await settleAddresses(left, right);
    const total = (file: string) => Number(readFileSync(`${running.chainFolder}/${file}`).readBigUInt64LE());
    /** From `version` to 2.0.0 and back: five echo requests before, five meanwhile, each run of ping one more flow. */
    const thereAndBack = async () => {
      expect(await ping(5)).toBe(5);
      await upgrade(running, "load", "--use", "count=counting@2");
      await upgrade(running, "switchover");
      expect(await ping(5)).toBe(5);
      const { rollback } = await upgrade(running, "abort");
      const { outcome } = (await readHistory(running)).at(-1) as { outcome: string };
      return { rollback, outcome, total: total(totalSegment("count")) };
    };
    expect(await thereAndBack()).toEqual({
      rollback: { flows: 1, lost: ["segment total of count"], migrations: [], refused: null },
      outcome: "1 flows began since; back as it was: segment total of count",
      total: 10,
    });
    await upgrade(running, "run", "--use", "count=counting@1.1.0");
    expect(await thereAndBack()).toEqual({
      rollback: {
        ...{ flows: 1, lost: [], refused: null },
        migrations: [{ function: "count", segments: ["total"], lost: 3 }],
      },
      outcome: "1 flows began since; total of count migrated back, 3 entries not",
      total: 30,
    });
    expect(await ping(5)).toBe(5);
    expect(total(totalSegment("count"))).toBe(40);
  });

  it("commits only what has been migrated", async () => {
    const lazily = `
      ${migration}
      export function nf_migrate_more(): u32 {
        store<u64>(total.address, load<u64>(total.address, 8) + 1, 8);
        return load<u64>(total.address, 8) < 3000 ? <u32>(3000 - load<u64>(total.address, 8)) : 0;
      }`;
    const wide = { segments: { total: { bytes: 16, layout: 2, migratesFrom: [1] } } };
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "2.0.0", step: 1, manifest: wide, before: lazily },
    );
    const running = await start(chain({ count: "{ use: counting@1.0.0 }" }), functions);
    await upgrade(running, "load", "--use", "count=counting@2");
    expect((await step(running, { actor: "test", step: "switchover" })).migrationLeft).toBeGreaterThan(0);
    await expect(step(running, { actor: "test", step: "commit" })).rejects.toThrow("entries are still to be migrated");
    await expect
      .poll(async () => (await step(running, { actor: "test", step: "status" })).migrationLeft, { timeout: 20_000 })
      .toBe(0);
    expect(await upgrade(running, "commit")).toMatchObject({ state: "committed", migrationLeft: 0 });
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

  it("takes a new port in, and lets it go again", async () => {
    const dmz = await network.namespace("dmz");
    await network.link(
      { namespace: dmz, device: "eth0", addresses: ["10.9.0.3/24"] },
      { namespace: box, device: "dmz0" },
    );
    const running = await start(chain({ count: "{ use: hello@* }" }));
    const larger = makeFolder({
      "chain.yaml": `chain: changing
ports: { dmz: { device: dmz0 }, lan: { device: lan0 }, wan: { device: wan0 } }
functions: { count: { use: hello@* } }
paths:
  - { from: lan, match: { destinations: [10.9.0.3/32] }, through: [count], to: dmz }
  - { from: lan, match: { etherTypes: [arp] }, through: [count], to: dmz }
  - { from: lan, through: [count], to: wan }
  - { from: dmz, through: [count], to: lan }
  - { from: wan, through: [count], to: lan }
`,
    });
    await settleAddresses(left, right);
    const reachesDmz = () =>
      left.run("ping", "-c", "5", "-i", "0.1", "-W", "2", "10.9.0.3").then(
        () => true,
        () => false,
      );
    const isSteered = async () => (await box.run("ip", "link", "show", "dev", "dmz0")).stdout.includes("xdp");
    const portsOf = async () => (await readTop(running)).ports.map(({ port }) => port);
    const pings = pingAnswered(right, "10.9.0.1", 600);
    expect(await reachesDmz()).toBe(false);
    await upgrade(running, "load", `${larger}/chain.yaml`);
    expect(await portsOf()).toEqual(["lan", "wan"]);
    await upgrade(running, "switchover");
    expect(await reachesDmz()).toBe(true);
    expect(await portsOf()).toEqual(["lan", "wan", "dmz"]);
    await upgrade(running, "abort");
    expect(await reachesDmz()).toBe(false);
    expect(await isSteered()).toBe(false);
    await upgrade(running, "run", `${larger}/chain.yaml`);
    expect(await reachesDmz()).toBe(true);
    expect(await pings).toBe(600);
    const smaller = makeFolder({ "chain.yaml": chain({ count: "{ use: hello@* }" }) });
    await expect(upgrade(running, "load", `${smaller}/chain.yaml`)).rejects.toThrow("error[change-refused] ports");
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
    expect(await isSteered()).toBe(false);
  }, 60_000);

  it("gives a canary its share of the flows, more of them, and then all", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 1000 });
    const running = await start(chain({ count: "{ use: counting@1 }" }), functions);
    await settleAddresses(left, right);
    const FLOWS = 200;
    // Without it there are ICMP errors, which are about the flows, too.
    const receiver = right.spawn("python3", ["-c", receiveScript], { stdio: ["ignore", "pipe", "inherit"] });
    await once(receiver.stdout as NodeJS.ReadableStream, "data");
    const counts = async () => {
      await sendFromPorts(left, 20_000, FLOWS);
      const flows = (await readFlows(running, "udp")).filter(({ dest_port }) => dest_port === 9000);
      const column = readFileSync(`${running.chainFolder}/column-counting.count-u64`);
      return new Map(
        flows.map(({ src_port, flow }) => [src_port as number, Number(column.readBigUInt64LE(Number(flow) * 8))]),
      );
    };
    /** The ports whose flows went through version 2 since. */
    let before = await counts();
    const canaries = async () => {
      const after = await counts();
      const added = [...after].map(([port, count]) => [port, count - (before.get(port) ?? 0)] as const);
      before = after;
      expect(added.filter(([, count]) => count !== 1 && count !== 1000)).toEqual([]);
      return added.flatMap(([port, count]) => (count === 1000 ? [port] : [])).toSorted((a, b) => a - b);
    };
    await upgrade(running, "load", "--use", "count=counting@2");
    expect(await canaries()).toEqual([]);
    expect(await upgrade(running, "switchover", "--canary", "20%")).toMatchObject({
      state: "switched",
      canary: { share: 0.2 },
    });
    const first = await canaries();
    console.log(`canary of 20 %: ${first.length} of ${FLOWS} flows`);
    expect(first.length).toBeGreaterThan(FLOWS * 0.1);
    expect(first.length).toBeLessThan(FLOWS * 0.3);
    expect(await canaries()).toEqual(first);
    await expect(upgrade(running, "commit")).rejects.toThrow("error[upgrade-state]");
    await upgrade(running, "switchover", "--canary", "50%");
    const second = await canaries();
    expect(first.filter((port) => !second.includes(port))).toEqual([]);
    expect(second.length).toBeGreaterThan(FLOWS * 0.35);
    await upgrade(running, "abort");
    expect(await canaries()).toEqual([]);

    await upgrade(running, "load", "--use", "count=counting@2");
    await upgrade(running, "switchover", "--canary-match", "{ sources: [10.9.0.0/24], sourcePorts: [20000-20004] }");
    expect(await canaries()).toEqual([20_000, 20_001, 20_002, 20_003, 20_004]);
    expect(await upgrade(running, "switchover")).toMatchObject({ state: "switched", canary: null });
    expect(await canaries()).toHaveLength(FLOWS);
    expect(await upgrade(running, "commit")).toMatchObject({ state: "committed", after: "count=counting@2.0.0" });
    expect(await canaries()).toHaveLength(FLOWS);
    const outcomes = (await readHistory(running)).map(({ state, outcome }) => `${state}: ${outcome}`);
    expect(outcomes).toContain("switched: canary 20 %");
    receiver.kill();
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  }, 60_000);

  it.each([
    ["faults>0", "unreachable();", /faults is \d+ \(faults>0\)/],
    ["drop-rate>1% after 20", "packet.drop();", /drop-rate is .*\(drop-rate>1% after 20\)/],
  ])("goes back from a canary by itself when %s", async (condition, failing, why) => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "2.0.0", step: 2, each: failing },
    );
    const running = await start(chain({ count: "{ use: counting@1 }" }), functions);
    await settleAddresses(left, right);
    await upgrade(running, "load", "--use", "count=counting@2");
    await expect(upgrade(running, "switchover", "--abort-on", "divergence>1%")).rejects.toThrow("error[usage]");
    await upgrade(running, "switchover", "--canary", "50%", "--abort-on", condition);
    await sendFromPorts(left, 20_000, 200);
    await expect.poll(async () => (await upgrade(running, "status")).state, { timeout: 5000 }).toBe("aborted");
    const last = (await readHistory(running)).at(-1);
    expect(last).toMatchObject({ actor: "condition", state: "aborted", outcome: expect.stringMatching(why) });
    expect(await ping(5)).toBe(5);
  });

  it("goes back from a canary that does not return", async () => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "2.0.0", step: 2, each: "while (true) {}" },
    );
    const running = await start(chain({ count: "{ use: counting@1 }" }), functions);
    await settleAddresses(left, right);
    await upgrade(running, "load", "--use", "count=counting@2");
    await upgrade(running, "switchover", "--canary", "50%");
    await sendFromPorts(left, 20_000, 20);
    await expect.poll(async () => (await upgrade(running, "status")).state, { timeout: 5000 }).toBe("aborted");
    expect(await upgrade(running, "status")).toMatchObject({ generation: 1, after: "count=counting@1.0.0" });
    expect(await ping(5)).toBe(5);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

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
    await left.run("ping", "-c", "40", "-i", "0.05", "-Q", "0xb8", "-W", "1", "10.9.0.2").catch(() => {});
    await expect.poll(() => running.stderr).toContain("quarantine count (counting@1.0.0): trapped too often");
    const { drops } = await readTop(running);
    // Two of them may have come in one batch.
    const [faults, quarantined] = drops;
    expect(faults).toMatchObject({ reason: "fault" });
    expect(faults?.count).toBeGreaterThanOrEqual(16);
    expect(quarantined).toMatchObject({ reason: "quarantined", count: 40 - (faults?.count ?? 0) });
    await left.run("ping", "-c", "1", "-W", "1", "10.9.0.2").catch(() => {});
    expect((await readTop(running)).drops.at(-1)).toMatchObject({ count: (quarantined?.count ?? 0) + 1 });
    // Any change of generation begins anew.
    await upgrade(running, "run");
    expect(await ping(3)).toBe(3);
  });

  it.each([
    ["traps too often", "unreachable();", 60],
    ["does not return", "while (true) {}", 1],
  ])("goes back to the version before of a function that %s", async (_, failing, packets) => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "1.1.0", step: 1, each: `if (packet.dscp == 46) { ${failing} }` },
    );
    const running = await start(chain({ count: "{ use: counting@1.0, onFault: previous }" }), functions);
    await settleAddresses(left, right);
    await upgrade(running, "run", "--use", "count=counting@1.1.0");
    const fail = () =>
      left.run("ping", "-c", String(packets), "-i", "0.05", "-Q", "0xb8", "-W", "1", "10.9.0.2").catch(() => {});
    await fail();
    await expect.poll(() => running.stderr, { timeout: 5000 }).toContain("count: the version before has its traffic");
    expect((await readHistory(running)).at(-1)).toMatchObject({
      ...{ actor: "quarantine", state: "committed", before: "count=counting@1.1.0", after: "count=counting@1.0.0" },
    });
    await fail();
    expect(await ping(5)).toBe(5);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
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

/** Carries the first number; of three more it says that it could not. */
const migration = `
import { PreviousSegment } from "sluice/sdk";
export function nf_migrate(): u32 {
  store<u64>(total.address, load<u64>(new PreviousSegment("total").address));
  return 3;
}`;

const receiveScript = `
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("", 9000)); print("ready", flush=True)
    while True: s.recv(9)`;

/** One UDP packet to port 9000 of the other side from each of `count` ports. */
async function sendFromPorts(namespace: Namespace, first: number, count: number): Promise<void> {
  const script = `
import socket
for port in range(${first}, ${first + count}):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("10.9.0.1", port)); s.sendto(b"x", ("10.9.0.2", 9000))`;
  await namespace.run("python3", "-c", script);
}

describe("sluice upgrade without a running chain", () => {
  it("says so", async () => {
    const env = { ...process.env, SLUICE_STATE_DIR: makeFolder() };
    await expect(execute(`${projectRoot}/sluice`, ["upgrade", "status"], { env })).rejects.toThrow(
      "error[not-running]",
    );
  });
});
