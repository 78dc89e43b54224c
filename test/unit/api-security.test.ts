// The API's doors: certificates, tokens, limits, headers, and what is written where.
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import fastify from "fastify";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { Certificates } from "../../runtime/control/certificates.ts";
import { FailedLogins } from "../../runtime/control/failed-logins.ts";
import { giveUpStalled } from "../../runtime/control/open-streams.ts";
import type { Api, TlsOptions } from "../../runtime/control/server.ts";
import { ObservedLane } from "../support/observed-lane.ts";
import { runSluice } from "../support/run-sluice.ts";
import { nextLoopback, RunningControl } from "../support/running-control.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { until } from "../support/until.ts";

const running: RunningControl[] = [];

async function start(...options: readonly string[]): Promise<RunningControl> {
  const control = await RunningControl.start({ options });
  running.push(control);
  return control;
}

afterEach(async () => {
  for (const control of running.splice(0)) await control.dispose();
});

/** Key and certificate in the folder, signed by `authority` or by itself. */
function certify(folder: string, name: string, authority?: string): { cert: string; key: string } {
  const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const signed = authority === undefined ? [] : ["-CA", `${authority}.crt`, "-CAkey", `${authority}.key`];
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
  const made = spawnSync("openssl", [...args, ...names, ...signed, "-keyout", key, "-out", cert], { encoding: "utf8" });
  expect(made.status, made.stderr).toBe(0);
  return { cert, key };
}

describe("TLS", () => {
  it("has a certificate that is made once, with a key that only its owner can read", async () => {
    const control = await start("--tls");
    expect(control.address).toMatch(/^https:/);
    const ca = readFileSync(join(control.dataFolder, "tls.crt"));
    expect((await control.ask("/healthz", { tls: { ca } })).status).toBe(200);
    expect(statSync(join(control.dataFolder, "tls.key")).mode & 0o777).toBe(0o600);
    await expect(control.ask("/healthz")).rejects.toThrow(/self-signed/);
  });

  it("takes the operator's certificate", async () => {
    const { cert, key } = certify(makeFolder(), "box");
    const control = await start("--tls-cert", cert, "--tls-key", key);
    expect((await control.ask("/healthz", { tls: { ca: readFileSync(cert) } })).status).toBe(200);
  });

  it("takes the operator's next certificate when it is there, and stays with the last as long as the next is no good", async () => {
    const folder = makeFolder();
    const { cert, key } = certify(folder, "box");
    const control = await start("--tls-cert", cert, "--tls-key", key, "--log-level", "warn");
    const first = readFileSync(cert);
    writeFileSync(cert, "no certificate");
    await until(() => control.log.includes("certificate stays as it is"));
    expect((await control.ask("/healthz", { tls: { ca: first } })).status).toBe(200);
    certify(folder, "box");
    await until(() => control.log.includes("has another certificate"));
    expect((await control.ask("/healthz", { tls: { ca: readFileSync(cert) } })).status).toBe(200);
    await expect(control.ask("/healthz", { tls: { ca: first } })).rejects.toThrow();
  });

  it("makes its own anew before that ends, also while it runs", () => {
    const root = makeFolder();
    const used: TlsOptions[] = [];
    const said: string[] = [];
    const report = (text: string) => said.push(text);
    const certificates = new Certificates({ options: { tls: true }, root, report, use: (tls) => used.push(tls) });
    const first = readFileSync(join(root, "tls.crt"), "utf8");
    const inDays = (days: number) => new Date(Date.now() + days * 24 * 60 * 60 * 1000);
    certificates.look(inDays(790));
    expect([used.length, said.length]).toEqual([0, 0]);
    certificates.look(inDays(800));
    certificates.look(inDays(0));
    certificates.close();
    expect(used.map(({ cert }) => cert.toString())).toEqual([readFileSync(join(root, "tls.crt"), "utf8")]);
    expect(used[0]?.cert.toString()).not.toBe(first);
    expect(said).toEqual([expect.stringMatching(/another certificate, valid until/)]);
    expect(statSync(join(root, "tls.key")).mode & 0o777).toBe(0o600);
  });

  it("lets nobody in without a certificate of the authority that was named", async () => {
    const folder = makeFolder();
    const authority = certify(folder, "authority");
    const client = certify(folder, "client", join(folder, "authority"));
    const stranger = certify(folder, "stranger");
    const control = await start("--tls", "--client-ca", authority.cert);
    const ca = readFileSync(join(control.dataFolder, "tls.crt"));
    const as = ({ cert, key }: { cert: string; key: string }) => ({
      tls: { ca, cert: readFileSync(cert), key: readFileSync(key) },
    });
    expect((await control.ask("/healthz", as(client))).status).toBe(200);
    await expect(control.ask("/healthz", { tls: { ca } })).rejects.toThrow();
    await expect(control.ask("/healthz", as(stranger))).rejects.toThrow();
    expect((await control.ask("/healthz", { ...as(client), token: null })).status).toBe(401);
  });

  it.each([
    [["--tls-cert", "/nowhere.crt"], "a certificate and its key come together"],
    [["--client-ca", "/nowhere.crt"], "needs --tls, or a certificate"],
    [["--tls-cert", "/nowhere.crt", "--tls-key", "/nowhere.key"], "/nowhere.crt"],
  ])("with %j is wrong usage", (options, what) => {
    const env = { SLUICE_DATA_DIR: makeFolder(), SLUICE_STATE_DIR: makeFolder() };
    const command = `env SLUICE_DATA_DIR=${env.SLUICE_DATA_DIR} SLUICE_STATE_DIR=${env.SLUICE_STATE_DIR} ./sluice control`;
    const { status, stderr } = runSluice(["-c", `${command} ${options.join(" ")}`], { command: "/bin/sh" });
    expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining(what) });
  });
});

describe("tokens", () => {
  it("lie in a file for their owner alone, and in the store as hashes", async () => {
    const control = await start();
    const made = await control.makeToken("operator");
    expect(statSync(join(control.dataFolder, "token")).mode & 0o777).toBe(0o600);
    expect(statSync(control.socket).mode & 0o777).toBe(0o600);
    const { body } = await control.ask("/api/v1/tokens");
    expect(body.map(({ name, role }: { name: string; role: string }) => `${name} ${role}`)).toEqual([
      "admin admin",
      "operator operator",
    ]);
    for (const file of readdirSync(control.dataFolder).filter((name) => name !== "token")) {
      const bytes = readFileSync(join(control.dataFolder, file));
      for (const secret of [made, control.token]) expect(bytes.includes(secret), file).toBe(false);
    }
  });

  it("and keys are in no log, however much is logged, and in no answer", async () => {
    const control = await start("--log-level", "trace");
    const made = await control.makeToken("viewer");
    const headers = { cookie: `session=${made}`, "proxy-authorization": `Bearer ${made}` };
    const answers = [
      await control.ask("/healthz", { token: made, headers }),
      await control.ask("/api/v1/tokens", { token: made }),
      await control.ask("/api/v1/tokens"),
      await control.ask("/api/v1/audit"),
      await control.ask("/api/v1/tokens/viewer", { method: "PUT", body: { role: made } }),
      await control.ask("/api/v1/nothing", { token: made }),
      await control.ask("/healthz", { token: `${made}x` }),
      await control.ask("/healthz", { token: made, headers: { "x-large": "a".repeat(20_000) } }),
    ];
    await control.end();
    expect(control.log).toContain("/api/v1/tokens/viewer");
    expect(control.log).not.toContain(made);
    expect(control.log).not.toContain(control.token);
    const said = answers.filter(({ status, bytes }) => status !== 400 && bytes.includes(made));
    expect(said.map(({ status }) => status)).toEqual([]);
  });

  it("are made anew for the box when the file is gone", async () => {
    const control = await start();
    const before = control.token;
    await control.end();
    writeFileSync(join(control.dataFolder, "token"), "lost\n");
    const { stateFolder, dataFolder } = control;
    const again = await RunningControl.start({ stateFolder, dataFolder });
    running.push(again);
    expect(again.token).not.toBe(before);
    expect((await again.ask("/healthz")).status).toBe(200);
    expect((await again.ask("/healthz", { token: before })).status).toBe(401);
  });
});

/** Live events; `text` is all of an answer that ends. */
async function openStream(control: RunningControl, path: string, token: string) {
  const headers = { accept: "text/event-stream", authorization: `Bearer ${token}` };
  const [response] = (await once(get(`${control.address}${path}`, { headers, agent: false }), "response")) as [
    IncomingMessage,
  ];
  response.on("error", () => {});
  const isLive = response.statusCode === 200;
  return {
    status: response.statusCode,
    text: isLive ? Promise.resolve("") : text(response),
    close: () => response.destroy(),
  };
}

describe("limits", () => {
  it("of requests are told with the time to wait", async () => {
    const control = await start("--request-rate", "5");
    const answers = await Promise.all(Array.from({ length: 30 }, () => control.ask("/healthz")));
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(5);
    expect(refused.length).toBeGreaterThan(0);
    for (const { headers, body } of refused) {
      expect(body).toMatchObject({ code: "rate-limited", status: 429 });
      expect(headers["content-type"]).toContain("application/problem+json");
      expect(Number(headers["retry-after"])).toBeGreaterThan(0);
    }
  });

  it("of failed logins are lower, for each address by itself", async () => {
    const control = await start();
    const from = nextLoopback();
    const guesses = await Promise.all(Array.from({ length: 60 }, () => control.ask("/healthz", { token: "x", from })));
    const statuses = guesses.map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
    expect(Number(guesses.find(({ status }) => status === 429)?.headers["retry-after"])).toBe(1);
    expect((await control.ask("/healthz", { from: nextLoopback() })).status).toBe(200);
    expect(control.log).toContain(from);
  });

  it("of failed logins are ten a second, and then nobody from there is listened to until it is over", () => {
    let now = 0;
    const failures = new FailedLogins(() => now);
    for (let count = 0; count < 9; count += 1) failures.add("10.0.0.1");
    expect(failures.waitSeconds("10.0.0.1")).toBe(0);
    failures.add("10.0.0.1");
    expect(failures.waitSeconds("10.0.0.1")).toBe(1);
    expect(failures.waitSeconds("10.0.0.2")).toBe(0);
    now = 1000;
    expect(failures.waitSeconds("10.0.0.1")).toBe(0);
  });

  it("of failed logins do not grow with the addresses that fail", () => {
    const failures = new FailedLogins(() => 0);
    for (let count = 0; count < 10; count += 1) failures.add("first");
    for (let place = 0; place < 5000; place += 1) failures.add(String(place));
    expect(failures.waitSeconds("first")).toBe(0);
  });

  it("of live streams hold for each token, until one is closed", async () => {
    const control = await start("--streams", "2");
    const folder = join(control.stateFolder, "observed");
    mkdirSync(folder);
    const engine = await ObservedLane.open(undefined, { folder });
    const viewer = await control.makeToken("viewer");
    const open = (token: string) => openStream(control, "/api/v1/chains/observed/stats", token);
    const streams = [await open(viewer), await open(viewer)];
    expect(streams.map(({ status }) => status)).toEqual([200, 200]);
    const refused = await open(viewer);
    expect(refused.status).toBe(429);
    expect(await refused.text).toContain('"code":"rate-limited"');
    const admin = await open(control.token);
    expect(admin.status).toBe(200);
    streams[0]?.close();
    await until(async () => {
      const next = await open(viewer);
      next.close();
      return next.status === 200;
    });
    for (const stream of [...streams, admin]) stream.close();
    engine.close();
  });

  it("of a client that does not take its answer end with its connection", async () => {
    const app = fastify() as unknown as Api;
    giveUpStalled(app, 300);
    app.get("/large", async () => "x".repeat(64 << 20));
    app.get("/slow", async (_, reply) => {
      const stream = new Readable({ read: () => {} });
      setTimeout(() => stream.push("late"), 900);
      setTimeout(() => stream.push(null), 1000);
      stream.push("early ");
      return reply.send(stream);
    });
    await app.listen({ host: "127.0.0.1", port: 0 });
    const { port } = app.server.address() as AddressInfo;
    const ended = Promise.withResolvers<void>();
    app.server.once("connection", (socket) => socket.once("close", () => ended.resolve()));
    const client = connect(port, "127.0.0.1").pause();
    client.on("error", () => {});
    client.write("GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
    await ended.promise;
    client.destroy();
    expect(await (await fetch(`http://127.0.0.1:${port}/slow`)).text()).toBe("early late");
    await app.close();
  });

  it("of a body hold while it is sent, also without a length", async () => {
    const control = await start();
    const { port } = new URL(control.address);
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => {});
    const answer = text(socket).catch((error: Error) => error.message);
    socket.write(`PUT /api/v1/tokens/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${control.token}\r\n`);
    socket.write("content-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
    const chunk = "x".repeat(1 << 20);
    for (let sent = 0; sent < 9 && socket.writable; sent += 1) socket.write(`100000\r\n${chunk}\r\n`);
    expect(await answer).toMatch(/^HTTP\/1\.1 413 /);
  });
});

describe("answers", () => {
  it("have the headers that keep a browser from using them otherwise", async () => {
    const control = await start();
    for (const path of ["/healthz", "/api/v1/nothing"]) {
      const { headers } = await control.ask(path);
      expect(headers).toMatchObject({
        "content-security-policy": expect.stringContaining("default-src 'none'"),
        "x-content-type-options": "nosniff",
        "x-frame-options": "SAMEORIGIN",
        "strict-transport-security": expect.stringContaining("max-age="),
        "referrer-policy": "no-referrer",
      });
      expect(headers).not.toHaveProperty("access-control-allow-origin");
      expect(headers).not.toHaveProperty("x-powered-by");
    }
  });
});

const others = Object.values(networkInterfaces())
  .flat()
  .filter((address) => address?.family === "IPv4" && !address.internal)
  .map((address) => address?.address as string);

describe("the address", () => {
  it("is the loopback's unless told", () => {
    expect(runSluice(["control", "--help"]).stdout).toContain("default: 127.0.0.1:7680");
  });

  const skipped = others.length === 0 ? " (skipped: needs another address)" : "";
  it.skipIf(others.length === 0)(`is the one that was named, and no other${skipped}`, async () => {
    const local = await start();
    const reach = (host: string, port: string) =>
      new Promise<boolean>((resolve) => {
        const socket = connect(Number(port), host, () => resolve(true));
        socket.on("error", () => resolve(false)).on("connect", () => socket.destroy());
      });
    const [other] = others as [string];
    expect(await reach("127.0.0.1", new URL(local.address).port)).toBe(true);
    expect(await reach(other, new URL(local.address).port)).toBe(false);
    const open = await start("--listen", "0.0.0.0:0");
    expect(await reach(other, new URL(open.address).port)).toBe(true);
  });

  it("that is taken is an error that says so", async () => {
    const first = await start();
    const { host } = new URL(first.address);
    await expect(start("--listen", host)).rejects.toThrow(/error\[system-call\].*EADDRINUSE/);
  });
});

beforeAll(() => {
  expect(spawnSync("openssl", ["version"]).status).toBe(0);
});
