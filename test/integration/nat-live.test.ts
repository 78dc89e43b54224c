// nfs/nat between real programs, each with a change of generations in the middle: FTP, TFTP, SIP, large transfers, and
// what a STUN server finds out about mappings and filters.
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Namespace, networkObstacle } from "../../runtime/testing/network.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { readTop } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { createTranslatedNetwork, type TranslatedNetwork } from "../support/translated-network.ts";
import { until } from "../support/until.ts";

const python = "/usr/bin/python3";
const programs = [
  "/usr/bin/curl",
  python,
  "/usr/sbin/in.tftpd",
  "/usr/bin/sipp",
  "/usr/bin/turnserver",
  "/usr/bin/iperf3",
];
const missing = [...programs, "/usr/lib/python3/dist-packages/pyftpdlib"].find((path) => !existsSync(path));
const obstacle = networkObstacle() ?? (missing === undefined ? null : `needs ${missing}`);

const office = { from: ["10.0.0.0/8"], pool: ["203.0.113.1"] };
const MEGABYTE = 1 << 20;

describe.skipIf(obstacle !== null)(
  `NAT between real programs${obstacle === null ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    let network: TranslatedNetwork;
    const served = mkdtempSync(join(tmpdir(), "sluice-test-served-"));
    const large = randomBytes(4 * MEGABYTE);
    const small = randomBytes(1000);

    beforeAll(async () => {
      network = await createTranslatedNetwork();
      writeFileSync(join(served, "large"), large);
      writeFileSync(join(served, "small"), small);
      chmodSync(served, 0o755);
    }, 60_000);

    afterAll(async () => {
      await network?.close();
      rmSync(served, { recursive: true });
    });

    /** A server that is there once it listens. */
    const serve = async (where: Namespace, port: string, command: string, ...args: readonly string[]) => {
      const child = where.spawn(command, args, { stdio: "ignore" });
      await until(async () => (await where.run("ss", "-Hlntu", `sport = :${port}`)).stdout !== "");
      return child;
    };

    const stop = async (child: ChildProcess) => {
      child.kill("SIGKILL");
      await until(() => child.exitCode !== null || child.signalCode !== null);
    };

    /** Gets the large file at a measured pace, then the small one by the same control connection. */
    const getBoth = async (client: Namespace, host: string, ...options: readonly string[]) => {
      const folder = makeFolder();
      const [first, second] = [join(folder, "large"), join(folder, "small")];
      const files = ["-o", first, `ftp://${host}/large`, "-o", second, `ftp://${host}/small`];
      const limits = ["--limit-rate", "2M", "--connect-timeout", "10", "--max-time", "60"];
      const done = client.run("curl", "-sS", "-v", ...limits, ...options, ...files);
      await sleep(500);
      await network.change();
      const { stderr } = await done;
      expect(readFileSync(first).equals(large)).toBe(true);
      expect(readFileSync(second).equals(small)).toBe(true);
      return stderr;
    };

    const modes: readonly (readonly [string, readonly string[], RegExp])[] = [
      ["EPSV", [], /> EPSV/],
      ["PASV", ["--disable-epsv"], /> PASV/],
      ["EPRT", ["--ftp-port", "-"], /> EPRT/],
      ["PORT", ["--ftp-port", "-", "--disable-eprt"], /> PORT/],
    ];

    describe("FTP", () => {
      const ftpd = (where: Namespace, address = "0.0.0.0") =>
        serve(where, "21", python, "-m", "pyftpdlib", "-i", address, "-p", "21", "-w", "-d", served);

      it.each(modes)(
        "from inside with %s",
        async (_, options, command) => {
          const engine = await network.run({ sources: [office], helpers: { ftp: true } });
          const server = await ftpd(network.outside);
          expect(await getBoth(network.inside, "192.0.2.1", ...options)).toMatch(command);
          await stop(server);
          const { drops, counters } = await readTop(engine);
          expect(drops).toEqual([]);
          expect(counters.find(({ name }) => name === "ftp_announced")?.value).toBe(2);
        },
        120_000,
      );

      it.each(modes)(
        "to a server inside with %s",
        async (_, options, command) => {
          const forwards = [{ address: "203.0.113.1", ipProto: "tcp", ports: 21, to: "10.0.0.1" }];
          await network.run({ forwards, helpers: { ftp: true } });
          const server = await ftpd(network.inside);
          expect(await getBoth(network.outside, "203.0.113.1", ...options)).toMatch(command);
          await stop(server);
        },
        120_000,
      );

      const extended = modes.filter(([name]) => name.startsWith("E"));

      it.each(extended)(
        "over IPv6 with %s, from inside and to a server inside",
        async (_, options, command) => {
          const sources = [{ from: ["fd00:1::/64"], pool: ["2001:db8:f::1"] }];
          await network.run({ sources, helpers: { ftp: true } });
          const outside = await ftpd(network.outside, "::");
          expect(await getBoth(network.inside, "[2001:db8:9::1]", "-g", ...options)).toMatch(command);
          await stop(outside);
          const forwards = [{ address: "2001:db8:f::1", ipProto: "tcp", ports: 21, to: "fd00:1::1" }];
          const engine = await network.run({ forwards, helpers: { ftp: true } });
          const inside = await ftpd(network.inside, "::");
          expect(await getBoth(network.outside, "[2001:db8:f::1]", "-g", ...options)).toMatch(command);
          await stop(inside);
          const { drops, counters } = await readTop(engine);
          expect(drops).toEqual([]);
          expect(counters.find(({ name }) => name === "ftp_announced")?.value).toBe(2);
        },
        120_000,
      );

      it("does not get through without being asked for", async () => {
        await network.run({ sources: [office] });
        const server = await ftpd(network.outside);
        const options = ["--ftp-port", "-", "--disable-eprt", "--max-time", "5", "-o", "/dev/null"];
        await expect(network.inside.run("curl", "-sS", ...options, "ftp://192.0.2.1/small")).rejects.toThrow();
        await stop(server);
      }, 60_000);
    });

    describe("TFTP", () => {
      const strict = "address-and-port-dependent";
      const tftpd = (where: Namespace, address: string) =>
        serve(where, "69", "/usr/sbin/in.tftpd", "-L", "-c", "-u", "root", "-a", `${address}:69`, "-s", served);
      const get = async (client: Namespace, host: string) => {
        const file = join(makeFolder(), "large");
        const done = client.run("curl", "-sS", "--max-time", "60", "-o", file, `tftp://${host}/large`);
        await sleep(100);
        await network.change();
        await done;
        expect(readFileSync(file).equals(large)).toBe(true);
      };

      it("from inside, through the narrowest filter", async () => {
        await network.run({ sources: [{ ...office, mapping: strict, filtering: strict }], helpers: { tftp: true } });
        const server = await tftpd(network.outside, "192.0.2.1");
        await get(network.inside, "192.0.2.1");
        await stop(server);
      }, 90_000);

      it("to a server inside", async () => {
        const forwards = [{ address: "203.0.113.1", ipProto: "udp", ports: 69, to: "10.0.0.1" }];
        await network.run({ forwards, helpers: { tftp: true } });
        const server = await tftpd(network.inside, "10.0.0.1");
        await get(network.outside, "203.0.113.1");
        await stop(server);
      }, 90_000);
    });

    it("SIP: a phone that has registered is called, and its media come back", async () => {
      await network.run({ sources: [office], helpers: { sip: true } });
      const script = `${projectRoot}/test/support/sip_registrar.py`;
      const registrar = network.outside.spawn(python, [script, "192.0.2.1", "2"], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const said = createInterface({ input: registrar.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
      expect((await said.next()).value).toBe("listening");
      const register = [
        "REGISTER sip:192.0.2.1 SIP/2.0",
        "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1",
        "From: <sip:alice@192.0.2.1>;tag=1",
        "To: <sip:alice@192.0.2.1>",
        "Call-ID: 1",
        "CSeq: 1 REGISTER",
        "Contact: <sip:alice@10.0.0.1:5060>",
        "Content-Length: 0",
        "",
        "",
      ].join("\r\n");
      const send = `import socket,sys; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(("10.0.0.1",5060)); s.settimeout(9); s.sendto(sys.argv[1].encode(),("192.0.2.1",5060)); print(s.recv(9999).decode())`;
      const { stdout } = await network.inside.run(python, "-c", send, register);
      expect(stdout).toContain("<sip:alice@10.0.0.1:5060>;expires=600");
      const phoneFolder = makeFolder();
      const options = ["-sn", "uas", "-i", "10.0.0.1", "-p", "5060", "-mi", "10.0.0.1", "-rtp_echo", "-nostdin"];
      const phone = network.inside.spawn("sipp", options, { stdio: "ignore", cwd: phoneFolder });
      await network.change();
      const { contact, media, echoed } = JSON.parse((await said.next()).value as string);
      expect(contact).toMatch(/^<sip:alice@203\.0\.113\.1:\d+>$/);
      expect(media).toMatch(/^203\.0\.113\.1:\d+$/);
      expect(echoed).toBeGreaterThan(15);
      await stop(phone);
    }, 90_000);

    it("large transfers go on, whatever becomes of the generation", async () => {
      const engine = await network.run({ sources: [office], helpers: { ftp: true, sip: true, tftp: true } });
      const web = await serve(network.outside, "8000", python, "-m", "http.server", "8000", "-d", served);
      const measured = await serve(network.outside, "5201", "iperf3", "-s");
      const done = network.inside.run("iperf3", "-c", "192.0.2.1", "-t", "3", "-J");
      for (let change = 0; change < 3; change++) {
        await sleep(300);
        await network.change();
        const file = join(makeFolder(), "large");
        await network.inside.run("curl", "-sS", "--max-time", "30", "-o", file, "http://192.0.2.1:8000/large");
        expect(readFileSync(file).equals(large)).toBe(true);
      }
      const { end, error } = JSON.parse((await done).stdout);
      expect(error).toBeUndefined();
      expect(end.sum_received.bytes).toBeGreaterThan(10 * MEGABYTE);
      expect((await readTop(engine)).drops).toEqual([]);
      await stop(web);
      await stop(measured);
    }, 120_000);

    describe("what a STUN server finds out (RFC 5780)", () => {
      const names = ["endpoint-independent", "address-dependent", "address-and-port-dependent"] as const;
      const said = ["Endpoint Independent", "Address Dependent", "Address and Port Dependent"];
      const combinations = names.flatMap((mapping) => names.map((filtering) => [mapping, filtering] as const));
      let server: ChildProcess;

      beforeAll(async () => {
        const files = ["--db", join(served, "db"), "--pidfile", join(served, "pid"), "--log-file", "stdout"];
        const listen = ["-L", "192.0.2.1", "-L", "192.0.2.2", "-p", "3478"];
        const options = ["-n", "-S", "--no-cli", "--no-tls", "--no-dtls", ...listen, ...files];
        server = await serve(network.outside, "3478", "turnserver", ...options);
      }, 60_000);
      afterAll(() => stop(server));

      it.each(combinations)(
        "mapping %s, filtering %s",
        async (mapping, filtering) => {
          await network.run({ sources: [{ ...office, mapping, filtering }] });
          const done = network.inside.run("turnutils_natdiscovery", "-m", "-f", "192.0.2.1");
          await sleep(50);
          await network.change();
          const { stdout } = await done;
          expect(stdout).toContain(`NAT with ${said[names.indexOf(mapping)]} Mapping!`);
          expect(stdout).toContain(`NAT with ${said[names.indexOf(filtering)]} Filtering!`);
        },
        90_000,
      );
    });
  },
);
