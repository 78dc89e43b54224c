// chains/nat.yaml between a real office and a real router that know nothing of each other's link addresses: the box
// answers for the outside addresses, and finds the hosts inside.
import type { ChildProcess } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { type FoundEngine, findEngines } from "../../runtime/dataplane/state-folder.ts";
import { Metrics } from "../../runtime/telemetry/metrics.ts";
import { type Namespace, networkObstacle } from "../../runtime/testing/network.ts";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { connectLanes, HOSTS, type LanesBetween, leftHost, startLanes } from "../support/lanes-between.ts";
import { createOfficeWire, type OfficeWire } from "../support/office-wire.ts";
import { pingAnswered } from "../support/ping.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { observe, RunningEngine, readTop, upgrade } from "../support/running-engine.ts";
import { sendFrames } from "../support/send-frames.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { until } from "../support/until.ts";

const python = "/usr/bin/python3";
const missing = ["/usr/bin/curl", python].find((path) => !existsSync(path));
const obstacle = networkObstacle() ?? (missing === undefined ? null : `needs ${missing}`);
const chain = `${projectRoot}/chains/nat.yaml`;
const MEGABYTE = 1 << 20;
const PROBER = "02:00:00:00:0a:0a";

describe.skipIf(obstacle !== null)(
  `a NAT's addresses on the wire${obstacle === null ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    let wire: OfficeWire;
    let engine: RunningEngine;
    const served = mkdtempSync(join(tmpdir(), "sluice-test-served-"));
    const large = randomBytes(4 * MEGABYTE);
    const servers: ChildProcess[] = [];

    beforeAll(async () => {
      wire = await createOfficeWire();
      writeFileSync(join(served, "large"), large);
      writeFileSync(join(served, "small"), "small");
      chmodSync(served, 0o755);
      for (const [where, port] of [
        [wire.server, "80"],
        [wire.silent, "443"],
      ] as const) {
        servers.push(where.spawn(python, ["-m", "http.server", port, "-d", served], { stdio: "ignore" }));
        await until(async () => (await where.run("ss", "-Hlnt", `sport = :${port}`)).stdout !== "");
      }
      engine = await RunningEngine.start(wire.box, chain);
    }, 60_000);

    afterAll(async () => {
      for (const server of servers) server.kill("SIGKILL");
      await engine?.end();
      engine?.dispose();
      await wire?.network.close();
      rmSync(served, { recursive: true });
    });

    const macOf = async (namespace: Namespace, device: string): Promise<string> =>
      JSON.parse((await namespace.run("ip", "-json", "link", "show", "dev", device)).stdout)[0].address;
    const neighbourOf = async (namespace: Namespace, address: string): Promise<string | undefined> =>
      JSON.parse((await namespace.run("ip", "-json", "neighbour", "show", "to", address)).stdout)[0]?.lladdr;
    const forget = (namespace: Namespace) => namespace.run("ip", "neighbour", "flush", "dev", "eth0");
    const get = async (client: Namespace, url: string, ...options: readonly string[]) => {
      const file = join(makeFolder(), "got");
      await client.run("curl", "-sS", "--max-time", "60", ...options, "-o", file, url);
      return readFileSync(file);
    };
    const ping = async (from: Namespace, to: string) => {
      if (!to.includes(":")) return expect(await pingAnswered(from, to, 3)).toBe(3);
      const { stdout } = await from.run("ping", "-c", "3", "-i", "0.2", "-w", "20", to);
      expect(stdout).toContain("3 received");
    };

    it("lets hosts inside call: ping, TCP, UDP", async () => {
      await ping(wire.host, "198.51.100.1");
      expect((await get(wire.host, "http://198.51.100.1/small")).toString()).toBe("small");
      const echo =
        'import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(("198.51.100.1",7)); d,a=s.recvfrom(99); s.sendto(a[0].encode(),a)';
      servers.push(wire.server.spawn(python, ["-c", echo], { stdio: "ignore" }));
      await until(async () => (await wire.server.run("ss", "-Hlnu", "sport = :7")).stdout !== "");
      const ask =
        'import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(9); s.sendto(b"who",("198.51.100.1",7)); print(s.recv(99).decode())';
      expect((await wire.host.run(python, "-c", ask)).stdout.trim()).toBe("203.0.113.1");
      expect(await neighbourOf(wire.router, "203.0.113.1")).toBe(await macOf(wire.box, "wan0"));
      expect((await readTop(engine)).drops).toEqual([]);
    }, 60_000);

    it("finds a server inside that has said nothing", async () => {
      const capture = await wire.silent.capture("eth0", "arp", "in");
      expect((await get(wire.server, "http://203.0.113.1:443/small")).toString()).toBe("small");
      const lan = await macOf(wire.box, "lan0");
      const asked = (await capture.stop()).map((frame) => formatPacket(frame.subarray(0, 42)));
      expect(asked).toContain(
        formatPacket(encodePacket(`ether ${lan} > ff:ff:ff:ff:ff:ff arp who-has 10.0.0.80 tell 0.0.0.0 sha ${lan}`)),
      );
      expect((await readTop(engine)).drops).toEqual([]);
    }, 60_000);

    it("reaches a host with an outside address of its own", async () => {
      await forget(wire.silent);
      await ping(wire.server, "203.0.113.17");
      expect(await neighbourOf(wire.router, "203.0.113.17")).toBe(await macOf(wire.box, "wan0"));
    }, 60_000);

    it("brings hosts inside together by an outside address", async () => {
      const capture = await wire.silent.capture("eth0", "tcp port 443", "in");
      expect((await get(wire.host, "http://203.0.113.1:443/small")).toString()).toBe("small");
      const [first] = await capture.stop();
      expect(formatPacket((first as Buffer).subarray(0, 34))).toContain(
        `ether ${await macOf(wire.box, "lan0")} > ${await macOf(wire.silent, "eth0")}`,
      );
    }, 60_000);

    it("does the same for IPv6 prefixes", async () => {
      const capture = await wire.server.capture("eth0", "icmp6 and ip6[40] == 128", "in");
      await ping(wire.host, "2001:db8:99::1");
      const outside = /icmp6 (2001:db8:1:\S+) > /.exec(formatPacket((await capture.stop())[0] as Buffer))?.[1];
      await forget(wire.router);
      const said = await wire.router.capture("eth0", "icmp6 and ip6[40] == 136", "in");
      await ping(wire.server, outside as string);
      expect(await neighbourOf(wire.router, outside as string)).toBe(await macOf(wire.box, "wan0"));
      const wan = Uint8Array.from((await macOf(wire.box, "wan0")).split(":"), (byte) => Number.parseInt(byte, 16));
      const answer = (await said.stop()).find((frame) => Buffer.compare(frame.subarray(6, 12), wan) === 0);
      expect(answer?.[58]).toBe(0x40);
    }, 60_000);

    it("defends its addresses: who wants one finds that it is taken", async () => {
      const capture = await wire.router.capture("eth0", `arp and ether dst ${PROBER}`, "in");
      const probe = (address: string) =>
        encodePacket(`ether ${PROBER} > ff:ff:ff:ff:ff:ff arp who-has ${address} tell 0.0.0.0 sha ${PROBER}`);
      await sendFrames(wire.router, "eth0", ["203.0.113.1", "203.0.113.31", "203.0.113.2"].map(probe));
      const wan = await macOf(wire.box, "wan0");
      expect((await capture.stop()).map((frame) => formatPacket(frame.subarray(0, 42)))).toEqual(
        ["203.0.113.1", "203.0.113.31"].map((address) =>
          formatPacket(
            encodePacket(`ether ${wan} > ${PROBER} arp reply ${address} to 0.0.0.0 sha ${wan} tha ${PROBER}`),
          ),
        ),
      );
      await wire.router.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1");
      await wire.router.run("ip", "address", "add", "2001:db8:1::77/128", "dev", "eth0");
      await until(async () => {
        const { stdout } = await wire.router.run("ip", "address", "show", "dev", "eth0");
        return /2001:db8:1::77\/128 .*dadfailed/.test(stdout);
      });
      await wire.router.run("ip", "address", "del", "2001:db8:1::77/128", "dev", "eth0");
    }, 60_000);

    it("says what becomes of a question, to who traces it; captures have the answer", async () => {
      const probe = encodePacket(
        `ether ${PROBER} > ff:ff:ff:ff:ff:ff arp who-has 203.0.113.1 tell 0.0.0.0 sha ${PROBER}`,
      );
      const traced = await observe(engine, "trace", "--port", "wan", "--hex", Buffer.from(probe).toString("hex"));
      expect(traced).toContain("consume answered");
      const file = join(makeFolder(), "wan.pcapng");
      const about = ["--match", "{ etherTypes: [arp] }", "--port", "wan", "--count", "2", "--seconds", "30"];
      const capturing = observe(engine, "capture", "--write", file, ...about);
      const stops = capturing.then(() => true);
      // It takes frames from a moment on that nobody is told.
      while (!(await Promise.race([stops, sleep(500).then(() => false)]))) {
        await sendFrames(wire.router, "eth0", [probe]);
      }
      const { stdout } = await wire.box.run("tcpdump", "-n", "-r", file);
      expect(stdout).toContain("who-has 203.0.113.1");
      expect(stdout).toContain(`203.0.113.1 is-at ${await macOf(wire.box, "wan0")}`);
    }, 60_000);

    it("counts frames for hosts that are not there", async () => {
      const send =
        'import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); [s.sendto(b"x",("203.0.113.18",9)) for _ in range(5)]';
      await wire.server.run(python, "-c", send);
      await until(async () => (await readTop(engine)).drops.length > 0);
      await sleep(500);
      expect((await readTop(engine)).drops).toEqual([{ function: null, reason: "neighbour-unknown", count: 5 }]);
    }, 60_000);

    it("counts what it was asked, and what it asked", async () => {
      const [found] = findEngines(engine.stateFolder);
      const text = await new Metrics(loadAddon(), "0.0.0").render([found as FoundEngine]);
      const count = (fate: string) =>
        Number(new RegExp(`^sluice_neighbour_questions_total\\{.*fate="${fate}".*\\} (\\d+)$`, "m").exec(text)?.[1]);
      expect(count("answered")).toBeGreaterThan(0);
      // Three times for the host that is not there.
      expect(count("asked")).toBeGreaterThanOrEqual(3);
      expect(text).toMatch(/^sluice_drops_total\{.*reason="neighbour-unknown".*\} 5$/m);
    });

    it("goes on whatever generation has the lane", async () => {
      const before = (await readTop(engine)).drops;
      const transfers = [
        get(wire.host, "http://198.51.100.1/large", "--limit-rate", "2M"),
        get(wire.server, "http://203.0.113.1:443/large", "--limit-rate", "2M"),
      ];
      for (let change = 0; change < 2; change++) {
        await sleep(300);
        await upgrade(engine, "run", "--use", "nat=nat@1");
      }
      const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
      expect((await Promise.all(transfers)).map(digest)).toEqual([digest(large), digest(large)]);
      expect((await readTop(engine)).drops).toEqual(before);
    }, 90_000);

    it("finds IPv6 hosts of what IPv4 hosts answer", async () => {
      const file = join(makeFolder(), "nat.yaml");
      const rule = '{ prefix: "64:ff9b::/96", from: ["fd01:203:405::/48"], pool: [203.0.113.1] }';
      writeFileSync(
        file,
        readFileSync(chain, "utf8").replace("      forwards:", `      nat64:\n        - ${rule}\n      forwards:`),
      );
      await upgrade(engine, "run", file);
      await ping(wire.host, "64:ff9b::198.51.100.1");
      expect((await get(wire.host, "http://[64:ff9b::c633:6401]/large")).equals(large)).toBe(true);
    }, 60_000);

    it("answers for what the chain says by now", async () => {
      const file = join(makeFolder(), "nat.yaml");
      writeFileSync(file, readFileSync(chain, "utf8").replace("203.0.113.16/28", "203.0.113.16/28, 203.0.113.99"));
      const transfer = get(wire.host, "http://198.51.100.1/large", "--limit-rate", "2M");
      await sleep(300);
      await upgrade(engine, "run", file);
      const capture = await wire.router.capture("eth0", `arp and ether dst ${PROBER}`, "in");
      const probe = encodePacket(
        `ether ${PROBER} > ff:ff:ff:ff:ff:ff arp who-has 203.0.113.99 tell 0.0.0.0 sha ${PROBER}`,
      );
      await sendFrames(wire.router, "eth0", [probe]);
      expect(await capture.stop()).toHaveLength(1);
      expect((await transfer).equals(large)).toBe(true);
    }, 90_000);
  },
);

const lanesDocument = `chain: lanes
ports:
  lan: { device: lan0, queues: [0, 1] }
  wan: { device: wan0, queues: [0, 1], answersFor: [10.9.0.0/28] }
paths:
  - { from: lan, to: wan }
  - { from: wan, to: lan }
`;

describe.skipIf(obstacle !== null)(
  `hosts behind two lanes${obstacle === null ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    let sides: LanesBetween;
    let engine: RunningEngine | undefined;

    beforeAll(async () => {
      sides = await connectLanes(2);
    }, 60_000);

    afterAll(async () => {
      await engine?.end();
      engine?.dispose();
      await sides?.network.close();
    });

    it("are found, whichever lane their answer comes to", async () => {
      engine = await startLanes(sides, lanesDocument);
      await sides.right.run("ip", "neighbour", "flush", "dev", "eth0", "nud", "permanent");
      // Questions come from it then.
      await sides.box.run("ip", "address", "add", "10.9.0.250/24", "dev", "lan0");
      await sleep(500);
      const capture = await sides.left.capture("eth0", "arp", "in");
      for (let host = 0; host < HOSTS; host++) {
        expect(await pingAnswered(sides.right, leftHost(host), 3)).toBe(3);
      }
      const asked = (await capture.stop()).map((frame) => formatPacket(frame.subarray(0, 42)));
      expect(asked.filter((line) => line.includes("tell 10.9.0.250")).length).toBeGreaterThanOrEqual(HOSTS);
      const known = JSON.parse((await sides.right.run("ip", "-json", "neighbour", "show", "dev", "eth0")).stdout);
      const { stdout } = await sides.box.run("ip", "-json", "link", "show", "dev", "wan0");
      expect(known.map(({ lladdr }: { lladdr: string }) => lladdr)).toEqual(
        Array(HOSTS).fill(JSON.parse(stdout)[0].address),
      );
      const { lanes, drops } = await readTop(engine);
      expect(lanes.map(({ frames }) => frames > 0)).toEqual([true, true]);
      expect(drops).toEqual([]);
    }, 60_000);
  },
);
