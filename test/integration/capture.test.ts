// What `sluice capture` streams of a chain between two namespaces, as tcpdump and tshark read it.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CaptureRequest } from "../../runtime/dataplane/observe/requests.ts";
import { openCapture } from "../../runtime/generation/observe-client.ts";
import { PcapngTally } from "../../runtime/telemetry/pcapng-tally.ts";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { sluicePath } from "../support/run-sluice.ts";
import { observe, readFlows, runOn, upgrade } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { startWatchedChain, type WatchedChain } from "../support/watched-chain.ts";

const obstacle = networkObstacle() ?? missingProgram("tshark") ?? missingProgram("tcpdump");
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

function missingProgram(name: string): string | null {
  return spawnSync(name, ["--version"]).error === undefined ? null : `needs the program ${name}`;
}

const TELNET = "tcp 10.9.0.1:40000 > 10.9.0.2:23 syn seq 1";
const ECHO = 'udp 10.9.0.1:5000 > 10.9.0.2:7 payload "hello"';
const OTHER = 'udp 10.9.0.1:5001 > 10.9.0.2:9 payload "other"';
const SIX = 'udp [2001:db8::1]:5000 > [2001:db8:bad::2]:9 payload "six"';

/** Frames between unlike ports of the sides are the test's own. */
const OURS = "{ ipProtos: [udp, tcp], sourcePorts: [5000-5001, 40000] }";

describe.skipIf(obstacle !== null)(`a capture${skipped}`, () => {
  let chain: WatchedChain;

  beforeEach(async () => {
    chain = await startWatchedChain();
  });

  afterEach(() => chain.close());

  /** What was captured while `meanwhile` went on, from the moment on when it had begun. */
  const capture = async (request: CaptureRequest, meanwhile: () => Promise<unknown>) => {
    const enough = new AbortController();
    const stream = await openCapture(chain.engine.chainFolder, { seconds: 60, ...request }, enough.signal);
    const captured = buffer(stream);
    await meanwhile();
    if (request.count === undefined) {
      await sleep(500);
      enough.abort();
    }
    return captured;
  };

  const tshark = (pcapng: Buffer, ...fields: readonly string[]) => {
    const file = join(makeFolder(), "captured.pcapng");
    writeFileSync(file, pcapng);
    const args = ["-r", file, "-T", "fields", "-E", "separator=|", ...fields.flatMap((field) => ["-e", field])];
    const said = execFileSync("tshark", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return said.split("\n").filter((line) => line !== "");
  };

  it("has each frame as it came and as it left, with ports, directions and what became of it", async () => {
    const pcapng = await capture({ match: OURS }, () => chain.send(ECHO, TELNET, SIX));
    const lines = tshark(pcapng, "frame.interface_name", "frame.packet_flags_direction", "frame.comment", "ip.ttl");
    expect(lines.toSorted()).toEqual([
      "lan|0x00000001|drop fw rule:1|64",
      "lan|0x00000001|drop fw rule:3|",
      "lan|0x00000001|forward wan|64",
      "wan|0x00000002|from lan|63",
    ]);
  });

  it("can be read by tcpdump while it goes on", async () => {
    const env = { ...process.env, SLUICE_STATE_DIR: chain.engine.stateFolder };
    const args = ["capture", "--match", OURS, "--direction", "in", "--count", "2", "--seconds", "60"];
    const command = `exec "$0" ${args.map((word) => `'${word}'`).join(" ")} | tcpdump -nn -r -`;
    const child = spawn("sh", ["-c", command, sluicePath], { env, stdio: ["ignore", "pipe", "pipe"] });
    const said = text(child.stdout);
    const told = text(child.stderr);
    while (child.exitCode === null) {
      await chain.send(ECHO, TELNET);
      await Promise.race([once(child, "exit"), sleep(300)]);
    }
    const lines = (await said).trim().split("\n");
    // It may begin between the two.
    expect(lines.toSorted((a, b) => a.length - b.length)).toEqual([
      expect.stringContaining("IP 10.9.0.1.5000 > 10.9.0.2.7: UDP, length 5"),
      expect.stringContaining("IP 10.9.0.1.40000 > 10.9.0.2.23: Flags [S]"),
    ]);
    expect(await told).toContain("2 packets (all that was asked for)");
  });

  it("selects by port and direction, by drop reason, and by flow", async () => {
    const send = () => chain.send(ECHO, OTHER, TELNET, SIX);
    const of = async (request: CaptureRequest) =>
      tshark(await capture(request, send), "frame.comment", "udp.dstport", "tcp.dstport");
    expect(await of({ match: OURS, ports: ["wan"] })).toEqual(["from lan|7|", "from lan|9|"]);
    expect(await of({ match: OURS, ports: ["wan"], direction: "in" })).toEqual([]);
    expect(await of({ drops: ["fw:rule"], match: OURS })).toEqual(["drop fw rule:1||23", "drop fw rule:3|9|"]);
    expect(await of({ drops: ["fw:rule:3"] })).toEqual(["drop fw rule:3|9|"]);
    expect(await of({ drops: ["any"], match: "{ ipProtos: [tcp] }" })).toEqual(["drop fw rule:1||23"]);
    expect(await of({ flow: "udp 10.9.0.2:9 > 10.9.0.1:5001", direction: "in" })).toEqual(["forward wan|9|"]);
    const [flow] = (await readFlows(chain.engine, "udp")).filter(({ src_port: port }) => port === 5001);
    expect(await of({ flow: String(flow?.flow) })).toEqual(["forward wan|9|", "from lan|9|"]);
  });

  it("has what functions build, and what the engine drops for its own reasons", async () => {
    const of = async (request: CaptureRequest, line: string) =>
      tshark(await capture(request, () => chain.send(line)), "frame.interface_name", "frame.comment").toSorted();
    expect(await of({ match: OURS }, "udp 10.9.0.1:5000 > 10.9.0.2:99")).toEqual([
      "lan|built by a function, or a fragment that waited",
      "lan|forward wan",
      "wan|from lan",
    ]);
    expect(await of({ drops: ["no-path"] }, "type 0x88b5 payload 00")).toEqual(["lan|drop no-path"]);
    expect(await of({ drops: ["mark:fault"], match: OURS }, "udp 10.9.0.1:5000 > 10.9.0.2:13")).toEqual([
      "lan|fault mark fault",
    ]);
  });

  it("has frames before and after a function, and what the function said", async () => {
    const request = { match: OURS, before: ["mark"], after: ["mark", "fw"] };
    const pcapng = await capture(request, () => chain.send(ECHO, TELNET));
    const lines = tshark(pcapng, "frame.interface_name", "frame.comment", "ip.ttl");
    expect(lines.toSorted()).toEqual([
      "fw:after|after fw: drop rule:1|64",
      "fw:after|after fw|64",
      "mark:after|after mark|63",
      "mark:before|before mark|64",
    ]);
  });

  it("cuts frames to a length, and says what they had on the wire", async () => {
    const pcapng = await capture({ match: OURS, ports: ["lan"], snapLength: 34, count: 1 }, () => chain.send(ECHO));
    expect(tshark(pcapng, "frame.cap_len", "frame.len")).toEqual(["34|47"]);
  });

  it("is a file for replay, too", async () => {
    const file = join(makeFolder(), "taken.pcapng");
    const args = ["capture", "--write", file, "--match", OURS, "--port", "lan", "--count", "2", "--seconds", "60"];
    const running = runOn(chain.engine, ...args);
    let isOver = false;
    void running.then(() => (isOver = true));
    while (!isOver) {
      await chain.send(ECHO, TELNET);
      await sleep(300);
    }
    expect(await running).toMatchObject({ status: 0, complaint: "2 packets (all that was asked for)\n" });
    const out = join(makeFolder(), "out");
    const { functions } = chain;
    const replayed = await runOn(
      chain.engine,
      "replay",
      chain.file,
      "--functions",
      functions,
      "--in",
      `lan=${file}`,
      "--out",
      out,
    );
    expect(replayed).toMatchObject({ status: 0, complaint: "" });
    const verdicts = readFileSync(join(out, "verdicts.jsonl"), "utf8");
    expect(verdicts).toContain('"verdict":"forward"');
    expect(verdicts).toContain('"reason":"rule:1"');
  });

  it("disturbs no ping while it takes all that iperf3 sends, and says how many frames are missing", async () => {
    const pings = chain.box.startPings();
    const server = chain.box.right.spawn("iperf3", ["-s", "-1"], { stdio: "ignore" });
    const enough = new AbortController();
    const request: CaptureRequest = { seconds: 60, direction: "in" };
    // One that nobody reads: what does not fit is left out.
    const streams = [1, 2].map(() => openCapture(chain.engine.chainFolder, request, enough.signal));
    const [fast, slow] = (await Promise.all(streams)) as [Readable, Readable];
    const tallies = [new PcapngTally(), new PcapngTally()] as const;
    const drain = async (stream: Readable, tally: PcapngTally) => {
      for await (const piece of stream as AsyncIterable<Buffer>) tally.add(piece);
    };
    const reading = drain(fast, tallies[0]);
    try {
      await chain.box.left.run("iperf3", "-c", "10.9.0.2", "-t", "3", "-b", "200M");
    } finally {
      server.kill("SIGKILL");
    }
    enough.abort();
    await Promise.all([reading, drain(slow, tallies[1])]);
    for (const [index, name] of ["who reads", "who does not"].entries()) {
      const { packets, missing } = tallies[index] as PcapngTally;
      console.log(`${name}: ${packets} packets, ${missing} missing`);
    }
    expect(tallies[0].packets).toBeGreaterThan(tallies[1].packets);
    expect(tallies[1].packets).toBeGreaterThan(0);
    expect(tallies[1].missing).toBeGreaterThan(0);
    const seen = tallies.map(({ packets, missing }) => packets + missing);
    // Both were there from before the traffic began; what else comes is the kernels'.
    expect(Math.abs((seen[0] as number) - (seen[1] as number))).toBeLessThan(1000);
    expect(await pings.stop()).toBe(0);
    expect((await chain.engine.end()).last.frames).toMatchObject({ intact: true });
  }, 60_000);

  it("stands beside the shadow of a change, and ends with the word why when the chain becomes another one", async () => {
    await upgrade(chain.engine, "load");
    const stream = await openCapture(chain.engine.chainFolder, { match: OURS, seconds: 60 });
    const captured = buffer(stream);
    await chain.send(ECHO);
    await sleep(500);
    await upgrade(chain.engine, "switchover");
    const tally = new PcapngTally();
    tally.add(await captured);
    expect({ ...tally }).toMatchObject({ packets: 2, missing: 0 });
    expect(tally.why).toMatch(/^generation \d+ takes over$/);
  });

  it("refuses names that are not the chain's, and a terminal is no place for it", async () => {
    const refused = async (...args: readonly string[]) => (await runOn(chain.engine, "capture", ...args)).complaint;
    expect(await refused("--before", "marc")).toContain('error[usage] before: the chain has no function "marc"');
    expect(await refused("--before", "mark", "--direction", "in")).toContain("error[usage] direction");
    expect(await refused("--direction", "up")).toContain("error[usage]");
    expect(await refused("--flow", "nonsense")).toContain('"nonsense" is neither a number nor');
    const env = { ...process.env, SLUICE_STATE_DIR: chain.engine.stateFolder };
    const onTerminal = spawnSync("script", ["-qec", `${sluicePath} capture`, "/dev/null"], { env, encoding: "utf8" });
    expect(onTerminal.stdout).toContain("stdout is a terminal");
    expect(await observe(chain.engine, "capture", "--help")).toContain("--snaplen");
  });
});
