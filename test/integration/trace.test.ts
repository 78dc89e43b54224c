// What `sluice trace` tells of a chain between two namespaces, and that the chain does not notice it.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { laneCounters } from "../../runtime/dataplane/layout.ts";
import type { TracedPacket, TraceEvent } from "../../runtime/dataplane/observe/trace-events.ts";
import { openTrace } from "../../runtime/generation/observe-client.ts";
import { formatHeader, formatPacketBlock } from "../../runtime/telemetry/pcapng.ts";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { observe, readFlows, runOn, upgrade } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { startWatchedChain, type WatchedChain } from "../support/watched-chain.ts";

const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

const TELNET = "tcp 10.9.0.1:40000 > 10.9.0.2:23 syn seq 1";
const ECHO = 'udp 10.9.0.1:5000 > 10.9.0.2:7 payload "hello"';
const SIX = 'udp [2001:db8::1]:5000 > [2001:db8:bad::2]:9 payload "six"';

describe.skipIf(obstacle !== null)(`a trace${skipped}`, () => {
  let chain: WatchedChain;

  beforeEach(async () => {
    chain = await startWatchedChain();
  });

  afterEach(() => chain.close());

  /** `sluice trace --json`: its packets, and how it ended. */
  const trace = async (...args: readonly string[]) => {
    const output = await observe(chain.engine, "trace", "--json", ...args);
    const events = output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as TraceEvent);
    return { events, packets: events.filter((event): event is TracedPacket => event.kind === "packet") };
  };

  const given = async (...lines: readonly string[]) => {
    const packets = lines.flatMap((line) => ["--packet", line]);
    return (await trace("--port", "lan", ...packets)).packets;
  };

  const text = (hex: string | null | undefined) => formatPacket(Buffer.from(hex ?? "", "hex"));

  /** All that the chain's state folder has of flows, columns, segments and counters. */
  const digestState = () => {
    const files = readdirSync(chain.engine.chainFolder).filter((name) =>
      /^(flows|column-|segment-|function-)/.test(name),
    );
    expect(files.length).toBeGreaterThan(4);
    return Object.fromEntries(
      files.map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(chain.engine.chainFolder, name)))
          .digest("hex"),
      ]),
    );
  };

  /** Frames that the lane has received. */
  const received = () => {
    const { layout } = chain.engine.description;
    const at = 8 * (layout.lane + laneCounters.indexOf("received"));
    return readFileSync(join(chain.engine.chainFolder, "counters")).readBigUInt64LE(at);
  };

  it("of a given packet names the rule that drops it, and the rule's line in the document", async () => {
    const [packet] = await given(TELNET);
    expect(packet).toMatchObject({ n: 1, number: null, port: "lan", live: null });
    expect(packet?.end).toEqual({ kind: "drop", to: null, function: "fw", reason: "rule:1", bytes: null });
    expect(packet?.hops).toMatchObject([{ function: "fw", verdict: "drop", reason: "rule:1", rewrite: null }]);
    expect(packet?.hops[0]?.rule).toEqual({
      pointer: "/functions/fw/config/rules/0",
      value: { action: "deny", name: "telnet", ipProtos: ["tcp"], destinationPorts: [23] },
      where: `${chain.file}:9:11`,
    });
    const [six] = await given(SIX);
    expect(six?.end).toMatchObject({ kind: "drop", function: "fw", reason: "rule:3" });
    expect(six?.hops[0]?.rule?.where).toBe(`${chain.file}:11:11`);
  });

  it("shows what a function rewrites, and columns and flow before and after, packet by packet", async () => {
    const [first, second] = await given(ECHO, ECHO);
    expect(first?.hops.map(({ function: name, verdict, to }) => [name, verdict, to])).toEqual([
      ["fw", "next", "mark"],
      ["mark", "next", "count"],
      ["count", "next", "wan"],
    ]);
    const mark = first?.hops[1];
    expect(text(mark?.rewrite?.before)).toBe(ECHO);
    expect(text(mark?.rewrite?.after)).toContain("ttl 63");
    expect(mark?.columns).toEqual([{ name: "counting.count", type: "u64", before: "0", after: "1" }]);
    expect(second?.hops[1]?.columns).toEqual([{ name: "counting.count", type: "u64", before: "1", after: "2" }]);
    expect(first?.end).toMatchObject({ kind: "forward", to: "wan", bytes: mark?.rewrite?.after });
    expect(first?.flow).toMatchObject({ before: null, after: { state: "new", packets: [1, 0] } });
    expect(first?.flow?.events).toContain("start");
    expect(second?.flow).toMatchObject({ before: { packets: [1, 0] }, after: { packets: [2, 0] } });
    expect(second?.flow?.number).toBe(first?.flow?.number);
  });

  it("of given packets leaves the chain's flows, columns, segments and counters byte for byte as they were", async () => {
    expect(await chain.box.ping(5)).toBe(5);
    await chain.send(ECHO);
    const seen = async () => (await readFlows(chain.engine, "udp")).length;
    await expect.poll(seen, { timeout: 10_000 }).toBe(1);
    let before = digestState();
    for (let round = 0; ; round++) {
      const count = received();
      before = digestState();
      const packets = await given(ECHO, TELNET, SIX, "udp 10.9.0.9:1 > 10.9.0.2:9");
      expect(packets.map(({ end }) => end.kind)).toEqual(["forward", "drop", "drop", "forward"]);
      // It goes on from the state of the chain.
      expect(packets[0]?.hops[1]?.columns).toMatchObject([{ before: "1", after: "2" }]);
      // The kernels of both sides have things to say to each other now and then.
      if (received() === count) break;
      expect(round).toBeLessThan(20);
    }
    expect(digestState()).toEqual(before);
  });

  it("shows what a function puts into its outbox, and fragments that wait", async () => {
    const line = 'udp 10.9.0.1:5000 > 10.9.0.2:99 payload "back"';
    const [packet] = await given(line);
    const messages = packet?.hops[1]?.messages ?? [];
    expect(messages.map(({ kind, what }) => `${kind} ${what}`)).toEqual(["emit on lan", "timeout 5000 ms"]);
    expect(text(messages[0]?.bytes)).toBe(line);
    const [second, first] = await given(
      "ip 10.9.0.1 > 10.9.0.2 proto udp frag id 9 offset 16 payload 0102030405060708",
      "udp 10.9.0.1:5000 > 10.9.0.2:9 frag id 9 more payload 0102030405060708",
    );
    expect(second).toMatchObject({ hops: [], end: { kind: "waits" } });
    expect(first?.end.kind).toBe("forward");
  });

  it("takes packets of a capture, one of them or all, and hexadecimal digits", async () => {
    const file = join(makeFolder(), "packets.pcapng");
    const ports = [{ name: "lan", description: "", linkType: 1, snapLength: 65_535 }];
    const blocks = [ECHO, TELNET].map((line, index) => {
      const bytes = encodePacket(line);
      const place = { interface: 0, timeNs: BigInt(index), direction: null, comment: "" };
      return formatPacketBlock({ ...place, bytes, wireLength: bytes.length });
    });
    writeFileSync(file, Buffer.concat([formatHeader("test", ports), ...blocks]));
    const ends = ({ packets }: { packets: TracedPacket[] }) => packets.map(({ end }) => end.reason);
    expect(ends(await trace("--port", "lan", "--pcap", file))).toEqual(["", "rule:1"]);
    expect(ends(await trace("--port", "lan", "--pcap", file, "--number", "2"))).toEqual(["rule:1"]);
    const unreadable = await runOn(chain.engine, "trace", "--port", "lan", "--pcap", chain.file);
    expect(unreadable.complaint).toContain(`error[capture-format] ${chain.file}`);
    const hex = Buffer.from(encodePacket(SIX)).toString("hex");
    expect(ends(await trace("--port", "lan", "--hex", hex))).toEqual(["rule:3"]);
    const output = await observe(chain.engine, "trace", "--port", "lan", "--pcap", file);
    console.log(output);
    expect(output).toContain(`rule ${chain.file}:9:11`);
    expect(output).toContain("drop fw rule:1");
    expect(output).toContain("counting.count 0 -> 1");
  });

  it("of real packets that a filter takes says the same as became of them", async () => {
    const tracing = trace("--match", "{ ipProtos: [udp, tcp] }", "--count", "3", "--seconds", "30");
    await chain.box.ping(3);
    for (let round = 0; round < 20; round++) {
      await chain.send(ECHO, SIX, TELNET);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const { packets, events } = await tracing;
    expect(packets).toHaveLength(3);
    for (const { end, live, number, port } of packets) {
      expect({ ...end }).toEqual(live);
      expect(number).toBeGreaterThan(0);
      expect(port).toBe("lan");
    }
    expect(packets.map(({ end }) => `${end.kind} ${end.reason}`).toSorted()).toEqual([
      "drop rule:1",
      "drop rule:3",
      "forward ",
    ]);
    expect(events.at(-1)).toMatchObject({ kind: "end", why: "all that was asked for", packets: 3, missed: 0 });
  });

  it("says clearly that no packet came, and that a name is not the chain's", async () => {
    const nothing = await runOn(chain.engine, "trace", "--match", "{ ipProtos: [sctp] }", "--seconds", "1");
    expect(nothing).toMatchObject({ status: 1, output: "" });
    expect(nothing.complaint).toContain("error[nothing-matched]");
    expect(nothing.complaint).toContain("no packet was traced: 1 s are over");
    const wrong = await runOn(chain.engine, "trace", "--port", "lam");
    expect(wrong.status).toBe(2);
    expect(wrong.complaint).toContain('error[usage] port: the chain has no port "lam"');
    expect(wrong.complaint).toContain('did you mean "lan"?');
    const cause = await runOn(chain.engine, "trace", "--drop", "fw:rul");
    expect(cause.complaint).toContain('the function has no reason "rul"');
  });

  it("shows a trap with its line, and one that never returns ends only who watches", async () => {
    const [trapped] = await given("udp 10.9.0.1:1 > 10.9.0.2:13");
    expect(trapped?.hops[1]).toMatchObject({ function: "mark", verdict: "fault" });
    expect(trapped?.hops[1]?.source).toMatch(/counting\/index\.ts:\d+:\d+$/);
    expect(trapped?.end).toMatchObject({ kind: "fault", function: "mark", reason: "fault" });
    const pings = chain.box.startPings();
    const hung = await runOn(chain.engine, "trace", "--port", "lan", "--packet", "udp 10.9.0.1:1 > 10.9.0.2:666");
    expect(hung.status).toBe(1);
    expect(hung.complaint).toContain("mark (counting@1.0.0) did not return");
    expect(await pings.stop()).toBe(0);
    expect(chain.engine.stderr).not.toContain("quarantine");
    expect((await given(ECHO))[0]?.end.kind).toBe("forward");
  });

  it("ends when the chain becomes another one, and stands beside the shadow of a change", async () => {
    await upgrade(chain.engine, "load", "--shadow");
    const events: TraceEvent[] = [];
    const watching = (async () => {
      const request = { match: "{ ipProtos: [sctp] }", seconds: 60 };
      for await (const event of openTrace(chain.engine.chainFolder, request)) events.push(event);
    })();
    await expect.poll(() => events.length, { timeout: 20_000 }).toBe(1);
    const pings = chain.box.startPings();
    await expect
      .poll(async () => (await upgrade(chain.engine, "status")).shadow?.compared ?? 0, { timeout: 20_000 })
      .toBeGreaterThan(20);
    await upgrade(chain.engine, "switchover");
    await watching;
    expect(events.at(-1)).toMatchObject({
      kind: "end",
      why: expect.stringMatching(/^generation \d+ takes over$/),
      packets: 0,
    });
    await upgrade(chain.engine, "commit");
    expect(await pings.stop()).toBe(0);
    expect((await given(TELNET))[0]?.end.reason).toBe("rule:1");
    expect((await chain.engine.end()).last.frames).toMatchObject({ intact: true });
  });

  it("ends with the engine, and says so", async () => {
    const watcher = openTrace(chain.engine.chainFolder, { match: "{ ipProtos: [sctp] }", seconds: 60 });
    expect((await watcher.next()).value).toMatchObject({ kind: "following", generation: 1 });
    const [end, next] = await Promise.all([chain.engine.end(), watcher.next()]);
    expect(next.value).toMatchObject({ kind: "end", why: "the engine stops", packets: 0 });
    expect(end).toMatchObject({ status: 0, last: { frames: { intact: true } } });
    await expect(openTrace(chain.engine.chainFolder, {}).next()).rejects.toThrow("error[not-running]");
  });

  it("leaves no memory behind", async () => {
    const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${chain.engine.pid}/status`, "utf8"))?.[1]);
    const hex = Buffer.from(encodePacket(ECHO)).toString("hex");
    const round = async () => {
      for await (const event of openTrace(chain.engine.chainFolder, { frames: [{ port: "lan", hex }] })) {
        if (event.kind === "following") pauses.push(event.pauseUs);
      }
    };
    const pauses: number[] = [];
    for (let i = 0; i < 8; i++) await round();
    const before = resident();
    for (let i = 0; i < 24; i++) await round();
    // What is let go of is freed a moment later.
    await expect.poll(() => resident() - before, { timeout: 10_000 }).toBeLessThan(100_000);
    const longest = Math.max(...pauses).toFixed(0);
    console.log(
      `${(resident() - before).toLocaleString("en")} KiB more after 24 traces; the lane waited ${longest} µs at the most`,
    );
  }, 60_000);

  it("refuses the fourth who watches at the same time", async () => {
    const enough = new AbortController();
    const watch = () =>
      openTrace(chain.engine.chainFolder, { match: "{ ipProtos: [sctp] }", seconds: 60 }, enough.signal);
    const watchers = [watch(), watch(), watch()];
    for (const watcher of watchers) expect((await watcher.next()).value).toMatchObject({ kind: "following" });
    await expect(watch().next()).rejects.toThrow("error[watch-limit] watched: 3 others watch this chain already");
    enough.abort();
    for (const watcher of watchers)
      expect((await watcher.next()).value).toMatchObject({ kind: "end", why: "asked to stop" });
    expect((await given(TELNET))[0]?.end.reason).toBe("rule:1");
  });
});
