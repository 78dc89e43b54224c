// NAT in a replay with several lanes: where the chain spreads flows by hosts, a host has with all lanes what it has with one.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { cutIntoFragments } from "../support/fragment-cuts.ts";
import { replayLines, type Step } from "../support/replayed-lines.ts";
import { runSluice } from "../support/run-sluice.ts";
import { payloadOf, payloadWords, writeMessage } from "../support/sip-messages.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const OUTSIDE = "203.0.113.1";
const FOUR = [1, 2, 3, 4];
const HOSTS = [1, 2, 3, 4, 5, 6, 7, 8];
const spread = `{ hosts: [10.0.0.0/8], shared: [${OUTSIDE}, 203.0.113.2] }`;

interface ChainOptions {
  readonly from?: string;
  readonly rule?: string;
  readonly pool?: string;
  readonly flows?: string;
  readonly config?: string;
}

function writeChain({
  from = "10.0.0.0/8",
  rule = "",
  pool = OUTSIDE,
  flows = `{ spread: ${spread} }`,
  config = "",
}: ChainOptions = {}): string {
  const source = `{ from: [${from}], pool: [${pool}]${rule} }`;
  const text = `chain: office
ports: { lan: { device: any }, wan: { device: any } }
functions:
  nat: { use: nat@1, config: { outside: [wan], sources: [${source}]${config} } }
paths:
  - { from: lan, through: [nat], to: wan }
  - { from: wan, through: [nat], to: lan }
flows: ${flows}
`;
  return join(makeFolder({ "chain.yaml": text }), "chain.yaml");
}

const [STATION, LAN_MAC, WAN_MAC] = ["02:00:00:00:00:09", "02:00:00:00:01:00", "02:00:00:00:02:00"];

/** Hosts behind the own address of the port wan, whatever it is. */
function writeGateway(): { readonly chain: string; readonly routes: string } {
  const source = "{ from: [10.0.0.0/8], masquerade: true, filtering: endpoint-independent }";
  const chain = `chain: gateway
ports: { lan: { device: any, forwarding: routed }, wan: { device: some, forwarding: routed } }
functions: { nat: { use: nat@1, config: { outside: [wan], sources: [${source}] } } }
paths:
  - { from: lan, through: [nat], to: route }
  - { from: wan, through: [nat], to: route }
flows: { spread: { hosts: [10.0.0.0/8], sharedOf: [wan] } }
`;
  const routes = `ports:
  lan: { mac: "${LAN_MAC}", addresses: [10.0.0.254/24] }
  wan: { mac: "${WAN_MAC}", addresses: [${OUTSIDE}/24] }
routes: [{ to: 0.0.0.0/0, via: 203.0.113.2 }]
neighbours:
  203.0.113.2: "${STATION}"
${HOSTS.map((host) => `  10.0.0.${host}: "${STATION}"`).join("\n")}
`;
  const folder = makeFolder({ "chain.yaml": chain, "routes.yaml": routes });
  return { chain: join(folder, "chain.yaml"), routes: join(folder, "routes.yaml") };
}

const lan = (line: string): Step => ({ port: "lan", line });
const wan = (line: string): Step => ({ port: "wan", line });
const raw = (bytes: Uint8Array) => `raw ${bytes.toHex()}`;
const replay = (chain: string, lanes: number, steps: readonly Step[]) =>
  replayLines(chain, steps, "--lanes", String(lanes));

/** The sender of the packet, as address:port. */
const senderOf = (line: string) => (line.split(" ")[1] as string).trim();
const portOf = (endpoint: string) => Number(endpoint.split(":")[1]);

/** The first packet of every host, to a peer of its own, and the outside endpoint that it gets. */
const hello = (host: number) => lan(`udp 10.0.0.${host}:5000 > 192.0.2.${host}:53 payload "hello"`);
function endpointsOf(chain: string, lanes: number): string[] {
  return replay(chain, lanes, HOSTS.map(hello)).sent("wan").map(senderOf);
}

describe.each([2, 16])("NAT on %i lanes, with flows spread by hosts", (lanes) => {
  const anybody = ", filtering: endpoint-independent";

  it("gives an inside endpoint one outside endpoint, whomever it calls", () => {
    const steps = HOSTS.flatMap((host) => FOUR.map((peer) => lan(`udp 10.0.0.${host}:5000 > 192.0.2.${peer}:${host}`)));
    const { sent, verdicts } = replay(writeChain(), lanes, steps);
    expect(verdicts.map(({ verdict }) => verdict)).toEqual(steps.map(() => "forward"));
    const senders = sent("wan").map(senderOf);
    const endpoints = HOSTS.map((_, index) => new Set(senders.slice(4 * index, 4 * index + 4)));
    for (const each of endpoints) expect(each.size).toBe(1);
    expect(new Set(senders).size).toBe(HOSTS.length);
  });

  it("gives a host one address of the pool, for all protocols", () => {
    const steps = HOSTS.flatMap((host) =>
      FOUR.flatMap((peer) => [
        lan(`udp 10.0.0.${host}:${peer} > 192.0.2.${peer}:9`),
        lan(`tcp 10.0.0.${host}:${peer} > 192.0.2.${peer}:9 syn`),
      ]),
    );
    const { sent } = replay(writeChain({ pool: `${OUTSIDE}, 203.0.113.2` }), lanes, steps);
    const addresses = sent("wan").map((line) => senderOf(line).split(":")[0]);
    HOSTS.forEach((_, index) => {
      expect(new Set(addresses.slice(8 * index, 8 * index + 8)).size).toBe(1);
    });
  });

  it("lets in whom no session knows, wherever the caller's own addresses would belong", () => {
    const chain = writeChain({ rule: anybody });
    const endpoints = endpointsOf(chain, lanes);
    const callers = HOSTS.flatMap((host, index) =>
      FOUR.map((caller) => ({ host, line: `udp 198.51.100.${caller}:${caller} > ${endpoints[index]} payload "call"` })),
    );
    const { verdicts, sent } = replay(chain, lanes, [...HOSTS.map(hello), ...callers.map(({ line }) => wan(line))]);
    expect(verdicts.filter(({ verdict }) => verdict !== "forward")).toEqual([]);
    const called = sent("lan").map((line) => line.split(" > ")[1]?.split(" ")[0]);
    expect(called).toEqual(callers.map(({ host }) => `10.0.0.${host}:5000`));
  });

  it("lets in nobody else where the filtering says so", () => {
    const chain = writeChain();
    const endpoints = endpointsOf(chain, lanes);
    const callers = endpoints.flatMap((endpoint) =>
      FOUR.map((caller) => wan(`udp 198.51.100.${caller}:9 > ${endpoint}`)),
    );
    const { verdicts } = replay(chain, lanes, [...HOSTS.map(hello), ...callers]);
    expect(verdicts.slice(HOSTS.length).map(({ reason }) => reason)).toEqual(callers.map(() => "filtered"));
  });

  it.each([
    { order: "in order", places: [0, 1, 2] },
    { order: "last one first", places: [2, 1, 0] },
    { order: "first one in the middle", places: [1, 0, 2] },
  ])("lets a caller's fragments in, $order", ({ places }) => {
    const chain = writeChain({ rule: anybody });
    const endpoints = endpointsOf(chain, lanes);
    const fragments = HOSTS.flatMap((host, index) => {
      const whole = encodePacket(`udp 198.51.100.${host}:77 > ${endpoints[index]} zeros 200`);
      const pieces = cutIntoFragments(whole, [4, 9], 1000 + host);
      return places.map((place) => wan(raw(pieces[place] as Uint8Array)));
    });
    const { verdicts, sent, stats } = replay(chain, lanes, [...HOSTS.map(hello), ...fragments]);
    expect(verdicts.map(({ verdict, reason }) => reason ?? verdict)).toEqual(verdicts.map(() => "forward"));
    const receivers = sent("lan").map((line) => /> (10\.0\.0\.\d+)/.exec(line)?.[1]);
    expect(receivers.toSorted()).toEqual(HOSTS.flatMap((host) => places.map(() => `10.0.0.${host}`)).toSorted());
    // Where they waited on another lane they may wait once more.
    const { fragments_held } = stats.flows as Record<string, number>;
    expect(fragments_held).toBeGreaterThanOrEqual(places.indexOf(0) * HOSTS.length);
  });

  it("brings ICMP errors about a mapping's packets to its host", () => {
    const chain = writeChain();
    const endpoints = endpointsOf(chain, lanes);
    const errors = HOSTS.map((host, index) => {
      const quoted = `(udp ${endpoints[index]} > 192.0.2.${host}:53)`;
      return wan(`icmp 198.51.100.9 > ${OUTSIDE} unreachable code 1 payload ${quoted}`);
    });
    const { verdicts, sent } = replay(chain, lanes, [...HOSTS.map(hello), ...errors]);
    expect(verdicts.map(({ verdict, reason }) => reason ?? verdict)).toEqual(verdicts.map(() => "forward"));
    const receivers = sent("lan").map((line) => /> (10\.0\.0\.\d+)/.exec(line)?.[1]);
    expect(receivers).toEqual(HOSTS.map((host) => `10.0.0.${host}`));
  });

  it("brings hosts inside together by outside endpoints, each seen by its own", () => {
    const chain = writeChain({ rule: anybody });
    const endpoints = endpointsOf(chain, lanes);
    const pairs = HOSTS.flatMap((from, a) => HOSTS.map((to, b) => ({ from, to, a, b }))).filter(({ a, b }) => a !== b);
    const steps = pairs.flatMap(({ from, to, a, b }) => [
      lan(`udp 10.0.0.${from}:5000 > ${endpoints[b]} payload "call"`),
      lan(`udp 10.0.0.${to}:5000 > ${endpoints[a]} payload "answer"`),
    ]);
    const { verdicts, sent, stats } = replay(chain, lanes, [...HOSTS.map(hello), ...steps]);
    expect(verdicts.map(({ verdict, to, reason }) => reason ?? `${verdict} ${to}`)).toEqual([
      ...HOSTS.map(() => "forward wan"),
      ...steps.map(() => "forward lan"),
    ]);
    const said = sent("lan").map((line) => line.replace(/ ttl.*?(?= payload)/, ""));
    pairs.forEach(({ from, to, a, b }, index) => {
      expect(said[2 * index]).toContain(`udp ${endpoints[a]} > 10.0.0.${to}:5000`);
      expect(said[2 * index + 1]).toContain(`udp ${endpoints[b]} > 10.0.0.${from}:5000`);
    });
    const { received, transmitted } = stats as Record<string, Record<string, number>>;
    expect(received).toEqual({ lan: HOSTS.length + steps.length, wan: 0 });
    expect(transmitted).toEqual({ lan: steps.length, wan: HOSTS.length });
  });

  it("lets a host inside whom no rule translates call the others, and be answered", () => {
    const chain = writeChain({ from: "10.0.0.0/24", rule: anybody });
    const endpoints = endpointsOf(chain, lanes);
    const pairs = FOUR.flatMap((from) => HOSTS.map((to, index) => ({ from, to, endpoint: endpoints[index] })));
    const calls = pairs.map(({ from, endpoint }) => lan(`udp 10.1.0.${from}:6000 > ${endpoint} payload "call"`));
    const callers = replay(chain, lanes, [...HOSTS.map(hello), ...calls])
      .sent("lan")
      .map(senderOf);
    const answers = pairs.map(({ to }, index) => lan(`udp 10.0.0.${to}:5000 > ${callers[index]} payload "answer"`));
    const { verdicts, sent } = replay(chain, lanes, [...HOSTS.map(hello), ...calls, ...answers]);
    expect(verdicts.map(({ verdict, to, reason }) => reason ?? `${verdict} ${to}`)).toEqual([
      ...HOSTS.map(() => "forward wan"),
      ...[...calls, ...answers].map(() => "forward lan"),
    ]);
    const said = sent("lan").map((line) => line.replace(/ ttl.*?(?= payload)/, ""));
    pairs.forEach(({ from, to, endpoint }, index) => {
      expect(said[index]).toContain(`${callers[index]} > 10.0.0.${to}:5000 payload "call"`);
      expect(said[index + pairs.length]).toContain(`${endpoint} > 10.1.0.${from}:6000 payload "answer"`);
    });
  });

  it("passes on to the machine what hosts send to its own outside address, as they sent it", () => {
    const { chain, routes } = writeGateway();
    const steps = HOSTS.map((host) =>
      lan(`ether ${STATION} > ${LAN_MAC} tcp 10.0.0.${host}:5000 > ${OUTSIDE}:${64 * host} syn`),
    );
    const options = ["--lanes", String(lanes), "--routes", routes];
    const { verdicts } = replayLines(chain, steps, ...options);
    expect(verdicts.map(({ verdict, reason }) => `${verdict} ${reason}`)).toEqual(HOSTS.map(() => "host local"));
  });

  it("counts mappings of a host against one limit", () => {
    const steps = HOSTS.flatMap((host) =>
      FOUR.map((each) => lan(`udp 10.0.0.${host}:${5000 + each} > 192.0.2.${each}:${each}`)),
    );
    const { verdicts } = replay(writeChain({ rule: ", mappingsPerHost: 2" }), lanes, steps);
    const expected = HOSTS.flatMap(() => ["forward", "forward", "limit", "limit"]);
    expect(verdicts.map(({ verdict, reason }) => reason ?? verdict)).toEqual(expected);
  });

  it("does the same behind the own address of a port that routes", () => {
    const { chain, routes } = writeGateway();
    const run = (steps: readonly Step[]) => replayLines(chain, steps, "--lanes", String(lanes), "--routes", routes);
    const calls = HOSTS.flatMap((host) =>
      FOUR.map((peer) => lan(`ether ${STATION} > ${LAN_MAC} udp 10.0.0.${host}:5000 > 192.0.2.${peer}:${host}`)),
    );
    const senders = run(calls).sent("wan").map(senderOf);
    const endpoints = HOSTS.map((_, index) => [...new Set(senders.slice(4 * index, 4 * index + 4))]);
    for (const each of endpoints) expect(each).toEqual([expect.stringContaining(`${OUTSIDE}:`)]);
    const callers = endpoints.flatMap(([endpoint]) =>
      FOUR.map((caller) => wan(`ether ${STATION} > ${WAN_MAC} udp 198.51.100.${caller}:9 > ${endpoint}`)),
    );
    const { sent } = run([...calls, ...callers]);
    const called = sent("lan").map((line) => line.split(" > ")[1]?.split(" ")[0]);
    expect(called).toEqual(HOSTS.flatMap((host) => FOUR.map(() => `10.0.0.${host}:5000`)));
  });

  it("brings hosts together at the port whose address is called, past what stands at another one", () => {
    const { chain, routes } = writeGateway();
    const edit = (path: string, changes: readonly [string, string][]) =>
      writeFileSync(
        path,
        changes.reduce((text, [from, to]) => text.replace(from, to), readFileSync(path, "utf8")),
      );
    edit(chain, [
      ["wan: { device: some", "spare: { device: third, forwarding: routed }, wan: { device: some"],
      ["nat: {", "gate: { use: acl@1, config: { rules: [], default: deny } }, nat: {"],
      ["outside: [wan]", "outside: [spare, wan]"],
      ["masquerade: true", "masquerade: wan"],
      ["paths:", "paths:\n  - { from: spare, through: [gate, nat], to: route }"],
    ]);
    edit(routes, [["ports:", 'ports:\n  spare: { mac: "02:00:00:00:03:00", addresses: [198.51.100.1/24] }']]);
    const run = (steps: readonly Step[]) => replayLines(chain, steps, "--lanes", String(lanes), "--routes", routes);
    const from = (host: number) => `ether ${STATION} > ${LAN_MAC} udp 10.0.0.${host}:5000`;
    const hellos = HOSTS.map((host) => lan(`${from(host)} > 192.0.2.${host}:53`));
    const endpoints = run(hellos).sent("wan").map(senderOf);
    const calls = HOSTS.flatMap((host, a) =>
      endpoints.filter((_, b) => a !== b).map((endpoint) => lan(`${from(host)} > ${endpoint}`)),
    );
    const { verdicts } = run([...hellos, ...calls]);
    expect(verdicts.slice(HOSTS.length).map(({ verdict, to, reason }) => reason ?? `${verdict} ${to}`)).toEqual(
      calls.map(() => "forward lan"),
    );
  });

  it("carries connections that are forwarded to a host, and its own", () => {
    const forwards = `, forwards: [{ address: ${OUTSIDE}, ipProto: tcp, ports: 80-87, to: 10.0.0.80, toPort: 80 }]`;
    const steps = FOUR.flatMap((caller) => [
      wan(`tcp 198.51.100.${caller}:7000 > ${OUTSIDE}:${79 + caller} syn seq 9`),
      lan(`tcp 10.0.0.80:${79 + caller} > 198.51.100.${caller}:7000 syn ack 10 seq 99`),
      wan(`tcp 198.51.100.${caller}:7000 > ${OUTSIDE}:${79 + caller} ack 100 seq 10`),
      lan(`udp 10.0.0.80:53 > 198.51.100.${caller}:53`),
    ]);
    const { verdicts, sent } = replay(writeChain({ config: forwards }), lanes, steps);
    expect(verdicts.map(({ verdict, reason }) => reason ?? verdict)).toEqual(steps.map(() => "forward"));
    const answers = sent("wan").filter((line) => line.startsWith("tcp"));
    expect(answers.map(senderOf)).toEqual(FOUR.map((caller) => `${OUTSIDE}:${79 + caller}`));
  });
});

describe.each([2, 16])("protocols that name endpoints, on %i lanes", (lanes) => {
  const server = "192.0.2.60";
  const strict = ", mapping: address-and-port-dependent, filtering: address-and-port-dependent";
  const forward = (ipProto: string, port: number) =>
    `, forwards: [{ address: ${OUTSIDE}, ipProto: ${ipProto}, ports: ${port}, to: 10.0.0.80 }]`;
  const open = (protocol: string, rule = "", more = "") =>
    writeChain({ rule: `, order: preserve${rule}`, config: `, helpers: { ${protocol}: true }${more}` });
  const receivers = (lines: readonly string[]) => lines.map((line) => line.split(" > ")[1]?.split(" ")[0]);
  const saidIn = (lines: readonly string[], pattern: RegExp) =>
    lines.map((line) => pattern.exec(payloadOf(line))).filter((found) => found !== null);
  const text = (line: string) => `payload "${line}\\r\\n"`;
  const endpointIn = (found: RegExpExecArray) =>
    `${found.slice(1, 5).join(".")}:${256 * Number(found[5]) + Number(found[6])}`;
  const verdictsOf = ({ verdicts }: ReturnType<typeof replay>) =>
    verdicts.map(({ verdict, reason }) => reason ?? verdict);

  it("bring a call's media to the phone that was named in SIP", () => {
    const chain = open("sip");
    const invites = HOSTS.map((host) => {
      const address = `10.0.0.${host}`;
      const head = [`INVITE sip:bob@${server} SIP/2.0`, `Via: SIP/2.0/UDP ${address}:5060;branch=z9hG4bK2`];
      const body = ["v=0", `o=alice 1 1 IN IP4 ${address}`, "s=-", `c=IN IP4 ${address}`, "t=0 0"];
      const message = writeMessage(head, [...body, "m=audio 49170 RTP/AVP 0"]);
      return lan(`udp ${address}:5060 > ${server}:5060 ${payloadWords(message)}`);
    });
    const ports = saidIn(replay(chain, lanes, invites).sent("wan"), /m=audio (\d+) /).map((found) => Number(found[1]));
    expect(new Set(ports).size).toBe(HOSTS.length);
    const media = ports.flatMap((port) => [port, port + 1].map((to) => wan(`udp ${server}:4000 > ${OUTSIDE}:${to}`)));
    const result = replay(chain, lanes, [...invites, ...media]);
    expect(verdictsOf(result)).toEqual(result.verdicts.map(() => "forward"));
    expect(receivers(result.sent("lan"))).toEqual(
      HOSTS.flatMap((host) => [49170, 49171].map((port) => `10.0.0.${host}:${port}`)),
    );
  });

  it("bring FTP's data connection to the client that named its endpoint", () => {
    const chain = open("ftp");
    const syns = HOSTS.map((host) => lan(`tcp 10.0.0.${host}:5000 > ${server}:21 syn seq 999`));
    const controls = replay(chain, lanes, syns).sent("wan").map(senderOf);
    const commands = HOSTS.flatMap((host, index) => [
      wan(`tcp ${server}:21 > ${controls[index]} syn seq 4999 ack 1000`),
      lan(`tcp 10.0.0.${host}:5000 > ${server}:21 seq 1000 ack 5000 ${text(`PORT 10,0,0,${host},19,137`)}`),
    ]);
    const said = replay(chain, lanes, [...syns, ...commands]).sent("wan");
    const named = saidIn(said, /PORT (\d+),(\d+),(\d+),(\d+),(\d+),(\d+)/).map(endpointIn);
    expect(new Set(named).size).toBe(HOSTS.length);
    const calls = named.map((endpoint) => wan(`tcp ${server}:20 > ${endpoint} syn seq 1`));
    const result = replay(chain, lanes, [...syns, ...commands, ...calls]);
    expect(verdictsOf(result)).toEqual(result.verdicts.map(() => "forward"));
    expect(receivers(result.sent("lan")).slice(HOSTS.length)).toEqual(HOSTS.map((host) => `10.0.0.${host}:5001`));
  });

  it("bring FTP's data connection to a server behind a forward", () => {
    const chain = open("ftp", "", forward("tcp", 21));
    const logins = FOUR.flatMap((client) => [
      wan(`tcp 198.51.100.${client}:4000 > ${OUTSIDE}:21 syn seq 999`),
      lan(`tcp 10.0.0.80:21 > 198.51.100.${client}:4000 syn seq 4999 ack 1000`),
      wan(`tcp 198.51.100.${client}:4000 > ${OUTSIDE}:21 seq 1000 ack 5000 ${text("PASV")}`),
      lan(
        `tcp 10.0.0.80:21 > 198.51.100.${client}:4000 seq 5000 ack 1006 ${text(`227 Passive (10,0,0,80,195,${64 * client - 1})`)}`,
      ),
    ]);
    const said = replay(chain, lanes, logins).sent("wan");
    const named = saidIn(said, /227 .*?(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)/).map(endpointIn);
    expect(named.length).toBe(FOUR.length);
    const calls = named.map((endpoint, index) => wan(`tcp 198.51.100.${index + 1}:4001 > ${endpoint} syn seq 1`));
    const result = replay(chain, lanes, [...logins, ...calls]);
    expect(verdictsOf(result)).toEqual(result.verdicts.map(() => "forward"));
    expect(receivers(result.sent("lan")).slice(-FOUR.length)).toEqual(
      FOUR.map((client) => `10.0.0.80:${256 * 195 + 64 * client - 1}`),
    );
  });

  const request = `payload 0001${Buffer.from("file\0octet\0").toString("hex")}`;

  it("bring TFTP's answers in from another port", () => {
    const chain = open("tftp", strict);
    const requests = HOSTS.map((host) => lan(`udp 10.0.0.${host}:5000 > ${server}:69 ${request}`));
    const asking = replay(chain, lanes, requests).sent("wan").map(senderOf);
    const answers = asking.map((endpoint) => wan(`udp ${server}:3333 > ${endpoint} payload 00030001`));
    const result = replay(chain, lanes, [...requests, ...answers]);
    expect(verdictsOf(result)).toEqual(result.verdicts.map(() => "forward"));
    expect(receivers(result.sent("lan"))).toEqual(HOSTS.map((host) => `10.0.0.${host}:5000`));
  });

  it("let a TFTP server behind a forward answer as the address that was asked, and be answered", () => {
    const chain = open("tftp", strict, forward("udp", 69));
    const transfers = FOUR.flatMap((client) => [
      wan(`udp 198.51.100.${client}:5000 > ${OUTSIDE}:69 ${request}`),
      lan(`udp 10.0.0.80:${3000 + 64 * client} > 198.51.100.${client}:5000 payload 00030001`),
    ]);
    const answering = replay(chain, lanes, transfers).sent("wan").map(senderOf);
    for (const endpoint of answering) expect(endpoint).toContain(`${OUTSIDE}:`);
    const more = answering.map((endpoint, i) => wan(`udp 198.51.100.${i + 1}:5000 > ${endpoint} payload 00040001`));
    const result = replay(chain, lanes, [...transfers, ...more]);
    expect(verdictsOf(result)).toEqual(result.verdicts.map(() => "forward"));
    expect(receivers(result.sent("lan")).slice(FOUR.length)).toEqual(
      FOUR.map((client) => `10.0.0.80:${3000 + 64 * client}`),
    );
  });
});

describe("ports of a rule", () => {
  const inTurn = (ports: number) => `{ spread: { hosts: [10.0.0.0/8], shared: [${OUTSIDE}], portsInTurn: ${ports} } }`;
  const many = { flows: inTurn(4096) };
  const hundred = { rule: ", ports: 20000-20099" };
  const low = { rule: ", keepLowPorts: true", flows: inTurn(512) };
  const blocks = { rule: ", ports: 1024-2047, blocks: { size: 512 }", flows: inTurn(512) };

  it.each([
    { lanes: 4, options: hundred, at: "ports", need: 256 },
    { lanes: 16, options: { ...many, rule: ", ports: 1024-32767" }, at: "ports", need: 65536 },
    { lanes: 3, options: low, at: "keepLowPorts", need: 1536 },
    { lanes: 3, options: blocks, at: "blocks", need: 1536 },
  ])("are refused where a lane of $lanes has none of $options.rule", ({ lanes, options, at, need }) => {
    const { status, stderr } = tryReplay(writeChain(options), lanes);
    expect(status).toBe(2);
    expect(stderr).toMatch(new RegExp(`config-invalid.*${at}\\b.*leaves? lanes without .* need ${need} ports`, "s"));
  });

  it.each([
    { lanes: 3, options: hundred },
    { lanes: 16, options: many },
    { lanes: 2, options: low },
    { lanes: 2, options: blocks },
  ])("are enough for $lanes lanes where each has some: $options.rule", ({ lanes, options }) => {
    expect(tryReplay(writeChain(options), lanes)).toMatchObject({ status: 0 });
  });

  it("of a port's own address are refused likewise", () => {
    const { chain, routes } = writeGateway();
    writeFileSync(chain, readFileSync(chain, "utf8").replace("sharedOf: [wan]", "sharedOf: [wan], portsInTurn: 4096"));
    const { status, stderr } = tryReplay(chain, 16, "--routes", routes);
    expect(status).toBe(2);
    expect(stderr).toMatch(/config-invalid.*leaves lanes without ports.* need 65536 ports/s);
  });
});

describe.each([2, 3])("port blocks on %i lanes", (lanes) => {
  const blocks = ", ports: 1024-9215, blocks: { size: 512 }";

  it("are one host's alone, where a lane has as many ports in a row", () => {
    const chain = writeChain({
      rule: blocks,
      flows: `{ spread: { hosts: [10.0.0.0/8], shared: [${OUTSIDE}], portsInTurn: 512 } }`,
    });
    const steps = HOSTS.flatMap((host) => FOUR.map((each) => lan(`udp 10.0.0.${host}:${each} > 192.0.2.${each}:9`)));
    const { sent } = replay(chain, lanes, steps);
    const used = sent("wan").map((line) => Math.floor(portOf(senderOf(line)) / 512));
    expect(used.length).toBe(steps.length);
    const ofHost = HOSTS.map((_, index) => new Set(used.slice(4 * index, 4 * index + 4)));
    for (const each of ofHost) expect(each.size).toBe(1);
    expect(new Set(used).size).toBe(HOSTS.length);
  });

  it("are refused where they would be several lanes'", () => {
    const { status, stderr } = tryReplay(writeChain({ rule: blocks }), lanes);
    expect({ status, stderr }).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/config-invalid.*portsInTurn/s),
    });
  });
});

describe("a chain that does not spread flows by hosts", () => {
  it("is refused by a replay on several lanes if a function needs all that a host has", () => {
    const chain = writeChain({ flows: "{}" });
    const { status, stderr } = tryReplay(chain, 2);
    expect(status).toBe(2);
    expect(stderr).toMatch(/error\[usage\] --lanes 2: .*nat.*\nhelp: .*flows\.spread/);
    expect(tryReplay(chain, 1).status).toBe(0);
  });
});

function tryReplay(chain: string, lanes: number, ...options: readonly string[]) {
  const folder = makeFolder();
  const input = join(folder, "in.pcap");
  writeFileSync(input, Buffer.from("d4c3b2a1020004000000000000000000ffff000001000000", "hex"));
  return runSluice([
    "replay",
    chain,
    "--in",
    `lan=${input}`,
    "--out",
    join(folder, "out"),
    "--lanes",
    String(lanes),
    ...options,
  ]);
}
