// `sluice replay` as its users call it: captures in, files out.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type CapturedPacket, decodePcap, encodePcap, encodePcapng } from "../support/capture.ts";
import { type Outcome, runSluice, sluicePath } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const SECOND = 1_000_000_000n;
const noon = 1_763_700_000n * SECOND;

const wire = `
chain: wire
ports: { a: { device: any }, b: { device: any } }
functions: { count: { use: hello@* } }
paths: [ { from: a, through: [count], to: b } ]
`;
const gate = `
chain: gate
ports: { lan: { device: any }, wan: { device: any } }
functions:
  fw:
    use: acl@*
    config:
      default: permit
      rules:
        - { action: permit, ipProtos: [tcp] }
        - { action: deny, destinationPorts: [53] }
paths:
  - { from: lan, through: [fw], to: wan }
  - { from: wan, match: { ipProtos: [udp] }, through: [], to: none }
`;

const dns = "udp 10.0.0.1:5000 > 10.0.0.2:53";
const web = "tcp 10.0.0.1:5000 > 10.0.0.2:80 syn";

/** One frame per line of text, a second apart, from `start` on. */
function packets(lines: readonly string[], start = noon): CapturedPacket[] {
  return lines.map((line, index) => ({ bytes: encodePacket(line), timeNs: start + BigInt(index) * SECOND }));
}

interface Replayed extends Outcome {
  readonly out: string;
  read(name: string): string;
  lines(name: string): Record<string, unknown>[];
  stats(): Record<string, unknown>;
  packets(port: string): readonly Required<CapturedPacket>[];
}

/** Replays captures (port → files) through a chain. */
function replay(chain: string, captures: Readonly<Record<string, Buffer | Buffer[]>>, ...options: string[]): Replayed {
  const folder = makeFolder({ "chain.yaml": chain });
  const inputs = Object.entries(captures).flatMap(([port, files]) =>
    [files].flat().flatMap((bytes, index) => {
      const file = join(folder, `${port}-${index}.pcap`);
      writeFileSync(file, bytes);
      return ["--in", `${port}=${file}`];
    }),
  );
  const out = join(folder, "new/out");
  const read = (name: string) => readFileSync(join(out, name), "utf8");
  return {
    ...runSluice(["replay", join(folder, "chain.yaml"), ...inputs, "--out", out, ...options]),
    out,
    read,
    lines: (name) =>
      read(name)
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    stats: () => JSON.parse(read("stats.json")),
    packets: (port) => decodePcap(readFileSync(join(out, `${port}.pcap`))).packets,
  };
}

const files = ["a.pcap", "b.pcap", "eve.jsonl", "flows.jsonl", "stats.json", "verdicts.jsonl"];

describe("sluice replay", () => {
  it("fills the folder with what came out and what became of each frame", () => {
    const run = replay(wire, { a: encodePcap(packets([dns, web])) });
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(readdirSync(run.out).toSorted()).toEqual(files);
    expect(run.packets("a")).toEqual([]);
    expect(run.packets("b").map(({ bytes, timeNs }) => [bytes, timeNs])).toEqual([
      [encodePacket(dns), noon],
      [encodePacket(web), noon + SECOND],
    ]);
    expect(run.read("verdicts.jsonl")).toBe(
      '{"n":1,"port":"a","verdict":"forward","to":"b","flow":1}\n{"n":2,"port":"a","verdict":"forward","to":"b","flow":2}\n',
    );
    expect(run.stats()).toMatchObject({
      received: { a: 2, b: 0 },
      emitted: 0,
      transmitted: { a: 0, b: 2 },
      dropped: {},
      consumed: { a: 0, b: 0 },
      host: {},
      functions: { count: { package: "hello@1.0.0", frames: 2, counters: { "packets{family=ipv4}": 2 } } },
    });
    expect(run.read("eve.jsonl")).toBe("");
    expect(run.lines("flows.jsonl")).toMatchObject([
      { flow: 1, proto: "UDP", src_ip: "10.0.0.1", src_port: 5000, packets_to_server: 1, packets_to_client: 0 },
      { flow: 2, proto: "TCP", dest_port: 80, packets_to_server: 1, state: "syn_sent", reason: "timeout" },
    ]);
  });

  it("names the function and its reason of a drop, and the engine's reason alone", () => {
    const lan = packets([dns, web]);
    const wan = packets([web, dns], noon + SECOND / 2n);
    const run = replay(gate, { lan: encodePcap(lan), wan: encodePcap(wan) });
    expect(run.lines("verdicts.jsonl")).toEqual([
      { n: 1, port: "lan", verdict: "drop", function: "fw", reason: "rule:2", flow: 1 },
      { n: 2, port: "wan", verdict: "drop", reason: "no-path", flow: 2 },
      { n: 3, port: "lan", verdict: "forward", to: "wan", flow: 2 },
      { n: 4, port: "wan", verdict: "consume", flow: 1 },
    ]);
    expect(run.stats()).toMatchObject({
      received: { lan: 2, wan: 2 },
      transmitted: { lan: 0, wan: 1 },
      dropped: { "fw:rule": 1, "no-path": 1 },
      consumed: { lan: 0, wan: 1 },
    });
  });

  it("writes drops in the shape of Suricata's EVE log", () => {
    const lines = [
      `vlan 7 ${dns} ttl 9`,
      "udp [2001:db8::1]:1 > [2001:db8::2]:53",
      "arp who-has 10.0.0.2 tell 10.0.0.1",
      "icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1",
      "tcp 10.0.0.1:5000 > 10.0.0.2:53 syn seq 77 win 1024",
    ];
    const run = replay(wire.replace("from: a", "from: b").replace("to: b", "to: a"), {
      a: encodePcapng(packets(lines), [{ linkType: 1, resolution: 9 }]),
    });
    const common = { event_type: "drop", in_iface: "a", pkt_src: "wire/pcap" };
    const timestamps = [0, 1, 2, 3, 4].map((second) => `2025-11-21T04:40:0${second}.000000+0000`);
    expect(run.lines("eve.jsonl")).toMatchObject([
      {
        ...common,
        timestamp: timestamps[0],
        pcap_cnt: 1,
        vlan: [7],
        src_ip: "10.0.0.1",
        src_port: 5000,
        dest_ip: "10.0.0.2",
        dest_port: 53,
        proto: "UDP",
        ip_v: 4,
        drop: { len: 28, tos: 0, ttl: 9, ipid: expect.any(Number), udplen: 8, reason: "no-path" },
      },
      {
        ...common,
        timestamp: timestamps[1],
        pcap_cnt: 2,
        src_ip: "2001:0db8:0000:0000:0000:0000:0000:0001",
        src_port: 1,
        dest_ip: "2001:0db8:0000:0000:0000:0000:0000:0002",
        dest_port: 53,
        proto: "UDP",
        ip_v: 6,
        drop: { len: 8, tc: 0, hoplimit: 64, flowlbl: 0, udplen: 8, reason: "no-path" },
      },
      { ...common, timestamp: timestamps[2], pcap_cnt: 3, drop: { reason: "no-path" } },
      expect.objectContaining({ pcap_cnt: 4, proto: "ICMP", icmp_type: 8, icmp_code: 0 }),
      expect.objectContaining({
        proto: "TCP",
        dest_port: 53,
        drop: expect.objectContaining({
          tcpseq: 77,
          tcpwin: 1024,
          syn: true,
          ack: false,
          fin: false,
          reason: "no-path",
        }),
      }),
    ]);
  });

  it("names a drop's rule by its place in the document", () => {
    const run = replay(gate, { lan: encodePcap(packets([dns, web])) });
    expect(run.lines("eve.jsonl")).toMatchObject([
      { pcap_cnt: 1, drop: { reason: "rule:2", function: "fw", rule: "11:11" } },
    ]);
    const other = replay(gate, { lan: encodePcap(packets([dns])) }, "--set", "fw.rules=[{action: deny}]");
    expect(other.lines("eve.jsonl")[0]).toMatchObject({ drop: { reason: "rule:1" } });
    expect(other.read("eve.jsonl")).not.toContain('"rule":"');
  });

  it("merges captures by time, and takes the finer time and Ethernet when they differ", () => {
    const raw = packets([dns]).map(({ bytes, timeNs }) => ({ bytes: bytes.subarray(14), timeNs: timeNs + 5n }));
    const run = replay(wire, {
      a: [encodePcap(packets([web, web])), encodePcap(raw, { linkType: 101, nanoseconds: true })],
    });
    const output = decodePcap(readFileSync(join(run.out, "b.pcap")));
    expect(output).toMatchObject({ linkType: 1, nanoseconds: true });
    expect(output.packets.map(({ timeNs }) => timeNs)).toEqual([noon, noon + 5n, noon + SECOND]);
    expect(output.packets[1]?.bytes.subarray(0, 14)).toEqual(Uint8Array.of(...new Uint8Array(12), 8, 0));
  });

  it("gives the inputs' link type to the outputs when they have one", () => {
    const raw = packets([dns]).map(({ bytes, timeNs }) => ({ bytes: bytes.subarray(14), timeNs }));
    const run = replay(wire, { a: [encodePcap(raw, { linkType: 12 }), encodePcap(raw, { linkType: 101 })] });
    expect(decodePcap(readFileSync(join(run.out, "b.pcap")))).toMatchObject({ linkType: 101, nanoseconds: false });
    expect(run.packets("b").map(({ bytes }) => bytes)).toEqual(
      raw.map(({ bytes }) => new Uint8Array(bytes)).flatMap((b) => [b, b]),
    );
  });

  it("gives the same bytes for the same input, in one batch or many", () => {
    const lines = Array.from({ length: 700 }, (_, index) => (index % 3 === 0 ? web : `${dns} ttl ${(index % 60) + 1}`));
    const capture = encodePcap(packets(lines));
    const [first, ...others] = [[], [], ["--batch", "256"], ["--batch", "7"]].map((options) => {
      const run = replay(gate, { lan: capture, wan: capture }, ...options);
      expect(run.status).toBe(0);
      return ["lan.pcap", "wan.pcap", "verdicts.jsonl", "eve.jsonl", "flows.jsonl"].map(run.read);
    });
    for (const other of others) expect(other).toEqual(first);
  });

  it("overrides configuration", () => {
    const run = replay(gate, { lan: encodePcap(packets([dns])) }, "--set", "fw.rules=[]");
    expect(run.lines("verdicts.jsonl")).toMatchObject([{ verdict: "forward" }]);
  });

  it("prints a summary, or with --json what stats.json holds", () => {
    const capture = { lan: encodePcap(packets([dns, web])) };
    const summary = replay(gate, capture);
    expect(summary.stdout).toMatch(/^port +received +transmitted +consumed\nlan +2 +0 +0\nwan +0 +1 +0\n/);
    expect(summary.stdout).toMatch(/\nfw:rule +1\n/);
    const json = replay(gate, capture, "--json");
    expect(JSON.parse(json.stdout)).toEqual(json.stats());
  });

  it("puts new results in the place of old ones and leaves everything else", () => {
    const first = replay(wire, { a: encodePcap(packets([dns])) });
    writeFileSync(join(first.out, "notes.txt"), "mine");
    const capture = join(first.out, "../again.pcap");
    writeFileSync(capture, encodePcap(packets([dns, dns])));
    const chain = join(first.out, "../../chain.yaml");
    expect(runSluice(["replay", chain, "--in", `a=${capture}`, "--out", first.out])).toMatchObject({ status: 0 });
    expect(first.packets("b")).toHaveLength(2);
    expect(readdirSync(first.out).toSorted()).toEqual([...files, "notes.txt"].toSorted());
  });
});

describe("an injected fault", () => {
  it("is a trap of the function on that frame and no other", () => {
    const run = replay(wire, { a: encodePcap(packets([dns, web, dns])) }, "--fault", "2:count");
    expect(run.status).toBe(0);
    expect(run.lines("verdicts.jsonl")).toEqual([
      { n: 1, port: "a", verdict: "forward", to: "b", flow: 1 },
      { n: 2, port: "a", verdict: "fault", function: "count", reason: "fault", flow: 2 },
      { n: 3, port: "a", verdict: "forward", to: "b", flow: 1 },
    ]);
    expect(run.lines("eve.jsonl")).toMatchObject([{ pcap_cnt: 2, drop: { reason: "fault", function: "count" } }]);
    expect(run.stats()).toMatchObject({
      dropped: { "count:fault": 1 },
      faults: [{ function: "count", message: "memory access out of bounds", count: 1 }],
      functions: { count: { frames: 3, faults: 1, faultFrames: 1, counters: { "packets{family=ipv4}": 2 } } },
    });
  });

  it("lets the frame pass if the chain says bypass", () => {
    const bypass = wire.replace("hello@*", "hello@*, onFault: bypass");
    const run = replay(bypass, { a: encodePcap(packets([dns, web])) }, "--fault", "1:count");
    expect(run.lines("verdicts.jsonl")).toMatchObject([{ verdict: "forward" }, { verdict: "forward" }]);
    expect(run.stats()).toMatchObject({ dropped: {}, functions: { count: { faults: 1 } } });
  });

  it("does not wait for another frame if that one does not come to the function", () => {
    const capture = { lan: encodePcap(packets([dns])), wan: encodePcap(packets([dns], noon - SECOND)) };
    const run = replay(gate, capture, "--fault", "1:fw", "--fault", "9:fw");
    expect(run).toMatchObject({
      status: 0,
      stderr:
        "warning[unused-option] --fault 1:fw: that frame did not come to the function\n" +
        "warning[unused-option] --fault 9:fw: that frame did not come to the function\n",
    });
    expect(run.lines("verdicts.jsonl")).toMatchObject([{ verdict: "consume" }, { verdict: "drop", reason: "rule:2" }]);
    expect(run.stats()).toMatchObject({ faults: [], missed: { faults: ["1:fw", "9:fw"] } });
  });
});

describe("an exchange of functions", () => {
  const lines = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? web : dns));
  const capture = { lan: encodePcap(packets(lines)) };

  it("changes no output and no counter", () => {
    const plain = replay(gate, capture);
    const swapped = replay(gate, capture, "--swap-every", "7:fw=acl@*", "--swap", "2:fw=acl@1", "--swap", "2:fw=acl");
    expect(swapped.status).toBe(0);
    for (const name of ["wan.pcap", "verdicts.jsonl", "eve.jsonl"]) expect(swapped.read(name)).toBe(plain.read(name));
    expect(swapped.stats()).toEqual({ ...plain.stats(), swaps: 2 + 5 });
  });

  it("that the input is too short for is reported", () => {
    const run = replay(gate, capture, "--swap", "99:fw=acl@1");
    expect(run).toMatchObject({
      status: 0,
      stderr: "warning[unused-option] --swap 99:fw=acl@1.0.0: the input has fewer frames\n",
    });
  });
});

describe("a capture that is damaged", () => {
  it("is processed as far as it is readable, and then an error", () => {
    const whole = encodePcap(packets([dns, web, dns]));
    const run = replay(wire, { a: whole.subarray(0, -3) });
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(
      /^error\[capture-truncated\] \S+\/a-0\.pcap: truncated dump file; .* 2 frames were processed\n$/,
    );
    expect(readdirSync(run.out).toSorted()).toEqual(files);
    expect(run.packets("b")).toHaveLength(2);
    expect(run.stats()).toMatchObject({ received: { a: 2 }, damage: [{ what: expect.stringMatching("truncated") }] });
  });
});

describe("wrong usage", () => {
  const capture = { a: encodePcap(packets([dns])) };
  it.each([
    [["--in", "c=/dev/null"], /^error\[usage\] --in c=\/dev\/null: the chain has no port "c"\nhelp: did you mean/],
    [["--in", "a"], /^error\[usage\] --in a: is not PORT=FILE\n/],
    [["--in", "a=/none.pcap"], /^error\[file-unreadable\] \/none\.pcap: No such file/],
    [["--lanes", "17"], /^error\[usage\] --lanes: "17" is not a number from 1 to 16\n/],
    [
      ["--lanes", "2", "--batch", "2"],
      /^error\[usage\] --lanes 2: swaps, faults and batches .*\nhelp: leave --lanes out/,
    ],
    [["--lanes", "2", "--fault", "1:count"], /^error\[usage\] --lanes 2: swaps, faults/],
    [["--lanes", "2", "--swap", "1:count=hello@1"], /^error\[usage\] --lanes 2: swaps, faults/],
    [["--lanes", "2", "--swap-every", "1:count=hello@1"], /^error\[usage\] --lanes 2: swaps, faults/],
    [["--lanes", "many"], /^error\[usage\] --lanes: "many" is not a number/],
    [["--batch", "257"], /^error\[usage\] --batch: "257" is not a number from 1 to 256\n/],
    [["--batch", "2", "--fault", "1:count"], /^error\[usage\] --batch 2: swaps and faults have their place/],
    [["--fault", "count"], /^error\[usage\] --fault count: is not N:FUNCTION\n/],
    [["--fault", "0:count"], /^error\[usage\] --fault 0:count: "0" is not a number/],
    [["--fault", "1:cuont"], /^error\[unknown-function\] --fault 1:cuont: .*\nhelp: did you mean "count"/],
    [["--swap", "1:count"], /^error\[usage\] --swap 1:count: is not N:FUNCTION=NAME@VERSION\n/],
    [
      ["--swap", "1:count=hello@9"],
      /^error\[function-not-found\] --swap 1:count=hello@9: no function "hello@9" is known\n/,
    ],
    [["--swap-every", "1:count=acl@1"], /^error\[config-invalid\] .*chain.yaml:\d+:\d+: the key "rules" is missing\n/],
    [["--set", "count.x=1"], /^error\[/],
  ])("is an error before anything is done: %s", (options, message) => {
    const run = replay(wire, capture, ...options);
    expect(run).toMatchObject({ status: 2, stdout: "", stderr: expect.stringMatching(message) });
    expect(existsSync(join(run.out, ".."))).toBe(false);
  });

  it("is a link type that is not supported, named by its number", () => {
    const run = replay(wire, { a: encodePcap([], { linkType: 127 }) });
    expect(run).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^error\[capture-link-type\] \S+: link type 127 /),
    });
    expect(existsSync(run.out)).toBe(false);
  });

  it("is an output that would overwrite an input", () => {
    const folder = makeFolder({ "chain.yaml": wire });
    const input = join(folder, "b.pcap");
    writeFileSync(input, capture.a);
    const run = runSluice(["replay", join(folder, "chain.yaml"), "--in", `a=${input}`, "--out", folder]);
    expect(run).toMatchObject({ status: 2, stderr: expect.stringMatching(/would overwrite the input/) });
    expect(readFileSync(input)).toEqual(capture.a);
    expect(readdirSync(folder).toSorted()).toEqual(["b.pcap", "chain.yaml"]);
  });

  it.each(["/proc/sluice", "/dev/null", "/dev/null/out"])("is an output folder that cannot be: %s", (out) => {
    const folder = makeFolder({ "chain.yaml": wire });
    writeFileSync(join(folder, "in.pcap"), capture.a);
    const run = runSluice(["replay", join(folder, "chain.yaml"), "--in", `a=${folder}/in.pcap`, "--out", out]);
    expect(run).toMatchObject({ status: 1, stderr: expect.stringMatching(/^error\[file-unwritable\] \/\w+/) });
  });
});

describe("an interrupted replay", () => {
  it("ends by the signal and leaves nothing behind", async () => {
    const folder = makeFolder({ "chain.yaml": wire });
    const [packet] = packets([dns]);
    const input = join(folder, "long.pcap");
    writeFileSync(input, encodePcap(Array.from({ length: 100_000 }, () => packet as CapturedPacket)));
    const out = join(folder, "out");
    // Exchanges make it last.
    const args = [
      "replay",
      join(folder, "chain.yaml"),
      "--in",
      `a=${input}`,
      "--out",
      out,
      "--swap-every",
      "50:count=hello",
    ];
    const child = spawn(sluicePath, args, { stdio: "ignore" });
    const closed = once(child, "close");
    while (!existsSync(out) && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill("SIGINT");
    expect(await closed).toEqual([null, "SIGINT"]);
    expect(readdirSync(folder).toSorted()).toEqual(["chain.yaml", "long.pcap"]);
  });
});
