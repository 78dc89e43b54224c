// SIP over TCP through nfs/nat: messages in a stream, whichever way it is cut.
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { describeBoth, type NatOptions, type NatUnderTest, openNat } from "../support/nat-under-test.ts";
import { replayLines, type Step } from "../support/replayed-lines.ts";
import { connectPhone, type Segment, sendAll } from "../support/sip-connection.ts";
import { payloadOf, payloadWords, readMessage, writeMessage } from "../support/sip-messages.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const opened: NatUnderTest[] = [];
const office = { from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve" };

async function open(config: object = {}, options: NatOptions = {}): Promise<NatUnderTest> {
  const nat = await openNat({ sources: [office], helpers: { sip: true }, ...config }, options);
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

type Lines = readonly string[];
const register: Lines = [
  "REGISTER sip:example.net SIP/2.0",
  "Via: SIP/2.0/TCP 10.0.0.5:5060;branch=z9hG4bK1;rport",
  "From: <sip:alice@10.0.0.5>;tag=1",
  "CSeq: 1 REGISTER",
  "Contact: <sip:alice@10.0.0.5:5060;transport=tcp>",
  "Expires: 3600",
];
const invite: Lines = [
  "INVITE sip:bob@example.net SIP/2.0",
  "Via: SIP/2.0/TCP 10.0.0.5:5060;branch=z9hG4bK2",
  "Record-Route: <sip:10.0.0.5:40000;lr>, <sip:10.0.0.5:40000;lr>, <sip:10.0.0.5:40000;lr>",
  "CSeq: 2 INVITE",
  "Contact: <sip:alice@10.0.0.5:5060;transport=tcp>",
];
const offer: Lines = [
  "v=0",
  "o=alice 1 1 IN IP4 10.0.0.5",
  "c=IN IP4 10.0.0.5",
  "m=audio 49170 RTP/AVP 0",
  "a=rtcp:49171 IN IP4 10.0.0.5",
];
const options: Lines = ["OPTIONS sip:bob@example.net SIP/2.0", "CSeq: 3 OPTIONS"];

const told = (lines: Lines) => lines.map((line) => line.replaceAll("10.0.0.5", "203.0.113.1"));
const writeTold = (lines: Lines, body: Lines = []) => writeMessage(told(lines), told(body));
const segment = (passed: Segment | string): Segment => {
  if (typeof passed === "string") throw new Error(passed);
  return passed;
};

describeBoth("a phone inside", () => {
  it("registers, and is called by its registrar over a connection of that one's own", async () => {
    const nat = await open();
    const { phone, registrar } = connectPhone(nat);
    const message = writeMessage(register);
    const changed = writeTold(register);
    expect(segment(phone(0, message)).bytes).toBe(changed);
    const answer: Lines = ["SIP/2.0 200 OK", "CSeq: 1 REGISTER", "Contact: <sip:alice@203.0.113.1:5060>;expires=3600"];
    const { bytes, acknowledged } = segment(registrar(0, writeMessage(answer), changed.length));
    expect(readMessage(bytes)).toContain("Contact: <sip:alice@10.0.0.5:5060>;expires=3600");
    expect(acknowledged).toBe(message.length);
    expect(nat.in("tcp 192.0.2.60:7000 > 203.0.113.1:5060 syn", 3000)).toEqual([
      "next tcp 192.0.2.60:7000 > 10.0.0.5:5060 syn",
    ]);
    expect(nat.in("tcp 192.0.2.61:7000 > 203.0.113.1:5060 syn")).toEqual(["drop filtered"]);
    expect(nat.counter("sip_rewritten")).toBe(2);
  });

  it("offers media, and numbers fit for the rest of the connection", async () => {
    const nat = await open();
    const { phone, registrar } = connectPhone(nat);
    const message = writeMessage(invite, offer);
    const changed = writeTold(invite, offer);
    expect(segment(phone(0, message))).toMatchObject({ at: 0, bytes: changed });
    expect(segment(registrar(0, "", changed.length)).acknowledged).toBe(message.length);
    expect(segment(registrar(0, "", changed.length - 1)).acknowledged).toBeLessThan(message.length);
    expect(segment(phone(message.length, writeMessage(options)))).toMatchObject({
      at: changed.length,
      bytes: writeMessage(options),
    });
    const end = message.length + writeMessage(options).length;
    expect(segment(phone(end, "", 0, "fin"))).toMatchObject({ at: changed.length + end - message.length, fin: true });
    expect(nat.in("udp 198.51.100.7:7000 > 203.0.113.1:49170")).toEqual([
      "next udp 198.51.100.7:7000 > 10.0.0.5:49170",
    ]);
    expect(nat.in("udp 198.51.100.7:7001 > 203.0.113.1:49171")).toEqual([
      "next udp 198.51.100.7:7001 > 10.0.0.5:49171",
    ]);
  });

  it("may cut a message anywhere: it goes out with the segment that completes it", async () => {
    const message = writeMessage(invite, offer);
    const changed = writeTold(invite, offer);
    const nat = await open();
    const { phone, registrar } = connectPhone(nat);
    let [sent, got] = [0, 0];
    for (let at = 1; at < message.length; at += 7) {
      expect(phone(sent, message.slice(0, at))).toBe("sip-incomplete");
      expect(segment(phone(sent + at, message.slice(at)))).toMatchObject({ at: got, bytes: changed });
      sent += message.length;
      got += changed.length;
      expect(segment(registrar(0, "", got)).acknowledged).toBe(sent);
    }
    expect(nat.counter("sip_refused")).toBe(0);
  });

  it("may say several things in one segment, the last of them not whole", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    const all = [writeMessage(options), writeMessage(register), writeMessage(options), writeMessage(register)];
    const changed = [writeMessage(options), writeTold(register), writeMessage(options), writeTold(register)];
    const text = all.join("");
    const cut = text.length - 30;
    expect(segment(phone(0, text.slice(0, cut))).bytes).toBe(changed.slice(0, 3).join(""));
    expect(segment(phone(cut, text.slice(cut)))).toMatchObject({
      at: changed.slice(0, 3).join("").length,
      bytes: changed[3],
    });
  });

  it("keeps the connection alive with empty lines between messages", async () => {
    const nat = await open();
    const { phone, registrar } = connectPhone(nat);
    expect(segment(phone(0, "\r\n\r\n")).bytes).toBe("\r\n\r\n");
    expect(segment(registrar(0, "\r\n", 4)).bytes).toBe("\r\n");
    expect(segment(phone(4, `\r\n${writeMessage(register)}\r\n\r\n`, 2)).bytes).toBe(
      `\r\n${writeTold(register)}\r\n\r\n`,
    );
    expect(nat.counter("sip_malformed")).toBe(0);
  });

  it("may send again what it sent, in other pieces: the bytes are the same", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    const message = writeMessage(invite, offer);
    const changed = writeTold(invite, offer);
    phone(0, message);
    expect(segment(phone(0, message))).toMatchObject({ at: 0, bytes: changed });
    for (let at = 1; at < message.length; at += 13) {
      const [first, second] = [segment(phone(0, message.slice(0, at))), segment(phone(at, message.slice(at)))];
      expect([first.at, first.bytes.length]).toEqual([0, second.at]);
      expect(first.bytes + second.bytes).toBe(changed);
    }
    expect(nat.counter("sip_rewritten")).toBe(1);
  });

  it("has what comes too early sent again", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    const [first, second] = [writeMessage(options), writeMessage(register)];
    expect(phone(first.length, second)).toBe("sip-order");
    phone(0, first);
    expect(segment(phone(first.length, second)).bytes).toBe(writeTold(register));
  });

  it("is not kept waiting when the rest of a message does not come, and its next message is rewritten again", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    const message = writeMessage(invite, offer);
    for (const cut of [60, message.length - 20]) {
      const { length } = message;
      const start = cut === 60 ? 0 : length;
      expect(phone(start, message.slice(0, cut))).toBe("sip-incomplete");
      expect(segment(phone(start, message.slice(0, cut)))).toMatchObject({ at: start, bytes: message.slice(0, cut) });
      expect(segment(phone(start + cut, message.slice(cut))).bytes).toBe(message.slice(cut));
    }
    expect(nat.counter("sip_unfinished")).toBe(2);
    expect(segment(phone(2 * message.length, writeMessage(register))).bytes).toBe(writeTold(register));
  });

  it("says at its end what it has begun", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    expect(segment(phone(0, "REGISTER sip:a SI", 0, "fin"))).toMatchObject({ bytes: "REGISTER sip:a SI", fin: true });
  });

  it("has a message longer than a segment come with the rest of it again", async () => {
    const nat = await open();
    const { phone, registrar } = connectPhone(nat);
    const long = [...invite, `X: ${"x".repeat(1200)}`];
    const [message, changed] = [writeMessage(long, offer), writeTold(long, offer)];
    expect(phone(0, message.slice(0, 1400))).toBe("sip-incomplete");
    const first = segment(phone(1400, message.slice(1400)));
    expect(changed.startsWith(first.bytes) && first.bytes.length < changed.length).toBe(true);
    const { acknowledged } = segment(registrar(0, "", first.bytes.length));
    const second = segment(phone(acknowledged, message.slice(acknowledged)));
    expect(second.at).toBeLessThanOrEqual(first.bytes.length);
    expect(first.bytes.slice(0, second.at) + second.bytes).toBe(changed);
  });
});

describeBoth("a server inside", () => {
  it("names the address that was called, in answers over the same connection", async () => {
    const forwards = [{ address: "203.0.113.9", ipProto: "tcp", ports: 5060, to: "10.0.0.60" }];
    const nat = await open({ forwards });
    const [called, server] = ["192.0.2.5:4000 > 203.0.113.9:5060", "10.0.0.60:5060 > 192.0.2.5:4000"];
    nat.in(`tcp ${called} syn seq 1`);
    nat.out(`tcp ${server} syn seq 8 ack 2`);
    const question = writeMessage(["OPTIONS sip:203.0.113.9 SIP/2.0", "Via: SIP/2.0/TCP 192.0.2.5:5060"]);
    const [asked = ""] = nat.in(`tcp ${called} seq 2 ack 9 ${payloadWords(question)}`);
    expect(readMessage(payloadOf(asked))[0]).toBe("OPTIONS sip:10.0.0.60 SIP/2.0");
    const answer = writeMessage(["SIP/2.0 200 OK", "Contact: <sip:10.0.0.60:5060;transport=tcp>"]);
    const [said = ""] = nat.out(`tcp ${server} seq 9 ack ${2 + payloadOf(asked).length} ${payloadWords(answer)}`);
    expect(readMessage(payloadOf(said))).toContain("Contact: <sip:203.0.113.9:5060;transport=tcp>");
    expect(said).toContain(`ack ${2 + question.length} `);
  });

  it("keeps its ports behind a one-to-one rule", async () => {
    const nat = await open({ sources: [], oneToOne: [{ inside: "10.0.0.0/28", outside: "203.0.113.0/28" }] });
    nat.out("tcp 10.0.0.5:40000 > 192.0.2.60:5060 syn seq 9");
    nat.in("tcp 192.0.2.60:5060 > 203.0.113.5:40000 syn seq 1 ack 10");
    const [said = ""] = nat.out(
      `tcp 10.0.0.5:40000 > 192.0.2.60:5060 seq 10 ack 2 ${payloadWords(writeMessage(register))}`,
    );
    expect(readMessage(payloadOf(said))).toContain("Contact: <sip:alice@203.0.113.5:5060;transport=tcp>");
  });
});

describe("what is not understood passes as it is, and all that comes behind it", () => {
  const head = register.join("\r\n");
  it.each([
    ["no length", `${head}\r\n\r\n`],
    ["two lengths", `${head}\r\nContent-Length: 0\r\nl: 1\r\n\r\n`],
    ["a length that is none", `${head}\r\nContent-Length: ten\r\n\r\n`],
    ["a length that is none before one", `${head}\r\nContent-Length: ten\r\nl: 0\r\n\r\n`],
    ["a length with more behind it", `${head}\r\nContent-Length: 0 0\r\n\r\n`],
    ["a length below 0", `${head}\r\nContent-Length: -1\r\n\r\n`],
    ["a length with too many digits", `${head}\r\nContent-Length: 4294967296\r\n\r\n`],
    ["another protocol", "GET / HTTP/1.1\r\nHost: 10.0.0.5\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00"],
    ["a byte that is no text", `REGISTER sip:a SIP/2.0\r\nX: \x00\r\n`],
  ])("%s", async (_, text) => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    expect(segment(phone(0, text)).bytes).toBe(text);
    expect(nat.counter("sip_malformed")).toBe(1);
    expect(segment(phone(text.length, writeMessage(register)))).toMatchObject({
      at: text.length,
      bytes: writeMessage(register),
    });
    expect(nat.counter("sip_malformed")).toBe(1);
  });

  it("headers without end, of which no more is kept back than there is room for", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    const text = `${head}\r\nX: ${"x".repeat(9000)}`;
    const results: string[] = [];
    for (let at = 0; at < text.length; at += 1000) {
      const passed = phone(at, text.slice(at, at + 1000));
      results.push(typeof passed === "string" ? passed : `${passed.at}`);
    }
    expect(results.slice(0, 8)).toEqual(Array(8).fill("sip-incomplete"));
    expect(results.slice(8)).toEqual(["0", "9000"]);
    expect(nat.counter("sip_malformed")).toBe(1);
  });

  it("but a message that is too long is one by itself", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    const text = writeMessage(register, Array<string>(900).fill("a=nothing"));
    for (let at = 0; at < text.length; at += 1000) {
      expect(segment(phone(at, text.slice(at, at + 1000))).bytes).toBe(text.slice(at, at + 1000));
    }
    expect([nat.counter("sip_too_long"), nat.counter("sip_malformed")]).toEqual([1, 0]);
    expect(segment(phone(text.length, writeMessage(register))).bytes).toBe(writeTold(register));
  });
});

describe("limits", () => {
  it("changes under way are 128: more messages pass as they are, until some were acknowledged", async () => {
    const nat = await open();
    const { phone, registrar } = connectPhone(nat);
    const message = writeMessage(register);
    const changed = writeTold(register);
    let [sent, got] = [0, 0];
    const say = () => {
      const { at, bytes } = segment(phone(sent, message));
      expect(at).toBe(got);
      sent += message.length;
      got += bytes.length;
      return bytes;
    };
    let rewritten = 0;
    while (say() === changed) rewritten++;
    expect(rewritten).toBe(Math.floor(128 / 3));
    expect(nat.counter("sip_refused")).toBe(1);
    expect(segment(registrar(0, "", got)).acknowledged).toBe(sent);
    expect(say()).toBe(changed);
  });

  it("connections are 512, and one that is refused or not answered takes no room", async () => {
    const nat = await open();
    for (let port = 10_000; port < 10_600; port++) nat.out(`tcp 10.0.0.5:${port} > 192.0.2.60:5060 syn seq 1`);
    expect(nat.counter("sip_connections")).toBe(0);
    for (let port = 10_000; port < 10_513; port++) {
      nat.in(`tcp 192.0.2.60:5060 > 203.0.113.1:${port} syn seq 1 ack 2`);
    }
    expect([nat.counter("sip_connections"), nat.counter("sip_untracked")]).toEqual([512, 1]);
    const line = `tcp 10.0.0.5:10512 > 192.0.2.60:5060 seq 2 ack 2 ${payloadWords(writeMessage(register))}`;
    expect(payloadOf(nat.out(line)[0] ?? "")).toBe(writeMessage(register));
  });

  it("can be switched off, alone or with UDP", async () => {
    for (const sip of [{ tcp: false }, false]) {
      const nat = await open({ helpers: { sip } });
      const { phone } = connectPhone(nat);
      expect(segment(phone(0, writeMessage(register))).bytes).toBe(writeMessage(register));
      const [udp = ""] = nat.out(`udp 10.0.0.5:5060 > 192.0.2.60:5060 ${payloadWords(writeMessage(register))}`);
      expect(payloadOf(udp) === writeTold(register)).toBe(sip !== false);
    }
  });

  it("nothing is left behind", async () => {
    const nat = await open({}, { flows: { timeouts: { tcp: { established: 300 } } } });
    segment(connectPhone(nat).phone(0, writeMessage(invite, offer)));
    expect(nat.counter("sip_connections")).toBe(1);
    nat.out("udp 172.16.0.1:1 > 192.0.2.1:1", 2000);
    for (let i = 0; i < 100; i++) nat.out("udp 172.16.0.1:1 > 192.0.2.1:1");
    expect([...nat.held, nat.counter("expectations"), nat.counter("sip_connections")]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describeBoth("whichever way it is cut and lost", () => {
  /** Park and Miller: the same each time. */
  const randomFrom = (seed: number) => {
    let state = seed;
    return (limit: number) => {
      state = (state * 48271) % 0x7fffffff;
      return state % limit;
    };
  };
  const kinds = [
    [register, []],
    [invite, offer],
    [options, []],
    [[...invite, `X: ${"x".repeat(1500)}`], offer],
  ] as const;
  const choose = (random: (limit: number) => number) =>
    Array.from({ length: 12 }, () => kinds[random(kinds.length)] ?? kinds[0]);

  it("a stream comes as one of messages, each rewritten", async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const random = randomFrom(seed);
      const chosen = choose(random);
      const nat = await open();
      const text = chosen.map(([lines, body]) => writeMessage(lines, body)).join("\r\n");
      const cut = () => 1 + random(random(4) === 0 ? 40 : 1400);
      const got = sendAll(connectPhone(nat), text, { cut, isLost: () => false });
      expect(got).toBe(chosen.map(([lines, body]) => writeTold(lines, body)).join("\r\n"));
      expect([nat.counter("sip_malformed"), nat.counter("sip_unfinished")]).toEqual([0, 0]);
    }
  });

  it("with losses, too, but for messages of which a part came again alone: they are as they came", async () => {
    let rewritten = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomFrom(seed);
      const chosen = choose(random);
      const nat = await open();
      const text = chosen.map(([lines, body]) => writeMessage(lines, body)).join("");
      const cut = () => 1 + random(1400);
      let got = sendAll(connectPhone(nat), text, { cut, isLost: () => random(8) === 0 });
      let unchanged = 0;
      for (const [lines, body] of chosen) {
        const [before, after] = [writeMessage(lines, body), writeTold(lines, body)];
        const isRewritten = got.startsWith(after);
        expect(isRewritten || got.startsWith(before)).toBe(true);
        if (!isRewritten) unchanged++;
        else rewritten++;
        got = got.slice((isRewritten ? after : before).length);
      }
      expect(got).toBe("");
      expect(unchanged).toBeLessThanOrEqual(nat.counter("sip_unfinished"));
    }
    expect(rewritten).toBeGreaterThan(100);
  });

  it("with any bytes damaged: nothing traps, and the stream has no gap", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = randomFrom(seed);
      const bytes = Buffer.from(
        choose(random)
          .map(([lines, body]) => writeMessage(lines, body))
          .join(""),
      );
      for (let n = 0; n < 1 + random(6); n++) bytes[random(bytes.length)] = random(256);
      const nat = await open();
      const cut = () => 1 + random(1400);
      const isLost = () => random(30) === 0;
      const got = sendAll(connectPhone(nat), bytes.toString("latin1"), { cut, isLost });
      expect(got.length).toBeGreaterThan(0);
    }
  });
});

describe("in a chain with a firewall that accepts calls that are related", () => {
  const document = `
chain: related
ports: { lan: { driver: memory }, wan: { driver: memory } }
functions:
  nat:
    use: nat@1
    config:
      outside: [wan]
      helpers: { sip: true }
      sources: [{ from: [10.0.0.0/8], pool: [203.0.113.1], order: preserve }]
  fw:
    use: firewall@1
    config:
      rules:
        - { action: accept, ipProtos: [tcp], sources: [10.0.0.0/8], destinationPorts: [5060] }
        - { action: accept, states: [related] }
paths:
  - { from: lan, through: [fw, nat], to: wan }
  - { from: wan, through: [nat, fw], to: lan }
`;
  const forth = (words: string): Step => ({ port: "lan", line: `tcp 10.0.0.5:40000 > 192.0.2.60:5060 ${words}` });
  const back = (words: string): Step => ({ port: "wan", line: `tcp 192.0.2.60:5060 > 203.0.113.1:40000 ${words}` });
  const call = (from: string): Step => ({ port: "wan", line: `tcp ${from}:7000 > 203.0.113.1:5060 syn seq 1` });
  const media = (port: number): Step => ({ port: "wan", line: `udp 198.51.100.7:7000 > 203.0.113.1:${port}` });
  const message = writeMessage(register) + writeMessage(invite, offer);
  const changed = writeTold(register) + writeTold(invite, offer);
  const cut = writeMessage(register).length + 100;
  const ok = ["SIP/2.0 200 OK", "CSeq: 1 REGISTER", "Contact: <sip:alice@203.0.113.1:5060>;expires=3600"];
  const answer = writeMessage(ok);
  const answered = writeMessage(ok.map((line) => line.replace("203.0.113.1", "10.0.0.5")));
  const steps: readonly Step[] = [
    forth("syn seq 999"),
    back("syn seq 4999 ack 1000"),
    forth("seq 1000 ack 5000"),
    forth(`seq 1000 ack 5000 ${payloadWords(message.slice(0, cut))}`),
    forth(`seq ${1000 + cut} ack 5000 ${payloadWords(message.slice(cut))}`),
    back(`seq 5000 ack ${1000 + changed.length} ${payloadWords(answer)}`),
    call("192.0.2.60"),
    media(49170),
    media(49171),
    call("192.0.2.61"),
    forth(`fin seq ${1000 + message.length} ack ${5000 + answered.length}`),
    back(`fin seq ${5000 + answer.length} ack ${1001 + changed.length}`),
    forth(`seq ${1001 + message.length} ack ${5001 + answered.length}`),
  ];
  const chain = () => join(makeFolder({ "related.yaml": document }), "related.yaml");

  it("what registrar and media begin passes, and the connection is sound to the host", () => {
    const { verdicts, flows } = replayLines(chain(), steps);
    expect(verdicts.map(({ verdict }) => verdict)).toEqual([
      ...Array(9).fill("forward"),
      "drop",
      ...Array(3).fill("forward"),
    ]);
    const [first] = flows.filter((flow) => flow.src_ip === "10.0.0.5");
    expect(first).toMatchObject({ reason: "closed", retransmissions_to_server: 0, retransmissions_to_client: 0 });
  });

  it("what was begun goes on with the next generation", () => {
    const whole = replayLines(chain(), steps);
    for (const step of [4, 5, 6, 7, 11]) {
      const swapped = replayLines(chain(), steps, "--swap", `${step}:nat=nat@1.2.0`);
      for (const port of ["lan", "wan"] as const) expect(swapped.sent(port)).toEqual(whole.sent(port));
    }
    expect(whole.sent("wan").map(payloadOf).join("")).toBe(changed);
  });
});
