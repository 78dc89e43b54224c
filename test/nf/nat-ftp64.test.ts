// FTP through NAT64 (RFC 6384): an IPv6 client says what it says to all, and an IPv4 server hears what it knows.
import { afterEach, describe, expect, it } from "vitest";
import { type NatUnderTest, openNat, setMtu } from "../support/nat-under-test.ts";
import { payloadOf, payloadWords } from "../support/sip-messages.ts";

const opened: NatUnderTest[] = [];
const office = { prefix: "64:ff9b::/96", from: ["2001:db8:1::/48"], pool: ["203.0.113.1"], order: "preserve" };

async function open(config: object = {}): Promise<NatUnderTest> {
  const nat = await openNat({ nat64: [office], helpers: { ftp: true }, countHops: false, ...config });
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const host = "2001:db8:1::5";
const server = "64:ff9b::c000:201";

/** A control connection: the client's numbers begin at 1000, the server's at 5000. */
function connect(nat: NatUnderTest) {
  const strip = (lines: readonly string[]) =>
    lines.map((line) => line.replace(/^next tcp \S+ > \S+ /, "").replace(/ttl \d+ |df |psh |ip-id \d+ /g, ""));
  const send = {
    client: (words: string) => strip(nat.out(`tcp [${host}]:5000 > [${server}]:21 ${words}`))[0] ?? "",
    server: (words: string) => strip(nat.in(`tcp 192.0.2.1:21 > 203.0.113.1:5000 ${words}`))[0] ?? "",
  };
  send.client("syn seq 999");
  send.server("syn seq 4999 ack 1000");
  send.client("seq 1000 ack 5000");
  return send;
}

const text = (line: string) => `payload "${line}\\r\\n"`;
const bytesOf = (line: string) => line.length + 2;

describe("a client of IPv6", () => {
  it.each(["EPSV", "EPSV 2", "epsv 1", "EPSV "])(
    "%s is PASV to the server, and its answer is the client's",
    async (asked) => {
      const nat = await open();
      const { client, server: answer } = connect(nat);
      expect(client(`seq 1000 ack 5000 ${text(asked)}`)).toBe(`seq 1000 ack 5000 ${text("PASV")}`);
      const said = "227 Entering Passive Mode (192,0,2,1,200,7).";
      const told = "229 Entering Extended Passive Mode (|||51207|)";
      expect(answer(`seq 5000 ack 1006 ${text(said)}`)).toBe(`seq 5000 ack ${1000 + bytesOf(asked)} ${text(told)}`);
      const next = 1000 + bytesOf(asked);
      expect(client(`seq ${next} ack ${5000 + bytesOf(told)} ${text("LIST")}`)).toBe(
        `seq 1006 ack ${5000 + bytesOf(said)} ${text("LIST")}`,
      );
      expect(answer(`seq ${5000 + bytesOf(said)} ack 1012`)).toBe(`seq ${5000 + bytesOf(told)} ack ${next + 6}`);
      expect(nat.out(`tcp [${host}]:5001 > [${server}]:51207 syn`)[0]).toMatch(
        /^next tcp 203\.0\.113\.1:5001 > 192\.0\.2\.1:51207 /,
      );
      expect(nat.counter("ftp_announced")).toBe(2);
    },
  );

  it("EPRT is PORT with an outside endpoint, which the server alone may call, once", async () => {
    const nat = await open();
    const { client } = connect(nat);
    expect(client(`seq 1000 ack 5000 ${text("EPRT |2|2001:DB8:1:0::5|5001|")}`)).toBe(
      `seq 1000 ack 5000 ${text("PORT 203,0,113,1,19,137")}`,
    );
    expect(nat.in("tcp 192.0.2.2:20 > 203.0.113.1:5001 syn seq 1")).toEqual(["drop filtered"]);
    expect(nat.in("tcp 192.0.2.1:20 > 203.0.113.1:5001 syn seq 1")[0]).toMatch(
      /^next tcp \[64:ff9b::c000:201\]:20 > \[2001:db8:1::5\]:5001 /,
    );
    expect(nat.in("tcp 192.0.2.1:22 > 203.0.113.1:5001 syn seq 1")).toEqual(["drop filtered"]);
    nat.out("udp [fe80::1]:1 > [fe80::2]:1", 90_000);
    nat.out("udp [fe80::1]:1 > [fe80::2]:1", 90_002);
    expect([...nat.held, nat.counter("expectations"), nat.counter("controls")]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("gets another outside port where its own is taken, of those that the rule has", async () => {
    const nat = await open({ nat64: [{ ...office, order: "random", ports: "20000-20099" }] });
    nat.out(`tcp [${host}]:5000 > [${server}]:21 syn seq 999`);
    const [first = ""] = nat.out(
      `tcp [${host}]:5000 > [${server}]:21 seq 1000 ack 1 ${text("EPRT |2|2001:db8:1::5|5001|")}`,
    );
    const [, high, low] = /PORT 203,0,113,1,(\d+),(\d+)/.exec(first) ?? [];
    const port = Number(high) * 256 + Number(low);
    expect(port >= 20_000 && port <= 20_099 && port % 2 === 1).toBe(true);
    expect(nat.in(`tcp 192.0.2.1:20 > 203.0.113.1:${port} syn`)[0]).toContain(`> [${host}]:5001 `);
  });

  it("EPSV ALL is no use to the server, and NOOP is answered the same", async () => {
    const nat = await open();
    expect(connect(nat).client(`seq 1000 ack 5000 ${text("EPSV ALL")}`)).toBe(`seq 1000 ack 5000 ${text("NOOP")}`);
  });

  it("an answer of its own kind passes as it is", async () => {
    const nat = await open();
    const line = `seq 5000 ack 1000 ${text("229 Extended (|||51207|)")}`;
    expect(connect(nat).server(line)).toBe(line);
    expect(nat.counter("ftp_announced")).toBe(1);
  });

  it("may cut a command anywhere: it goes out whole, and so does an answer", async () => {
    for (let at = 1; at < 8; at++) {
      const nat = await open();
      const { client, server: answer } = connect(nat);
      const asked = "EPSV 2\r\n";
      const quote = (part: string) => `payload ${Buffer.from(part).toString("hex")}`;
      expect(client(`seq 1000 ack 5000 ${quote(asked.slice(0, at))}`)).toBe("drop ftp-incomplete");
      expect(client(`seq ${1000 + at} ack 5000 ${quote(asked.slice(at))}`)).toBe(`seq 1000 ack 5000 ${text("PASV")}`);
      const said = "227 (192,0,2,1,200,7)\r\n";
      expect(answer(`seq 5000 ack 1006 ${quote(said.slice(0, at))}`)).toBe("drop ftp-incomplete");
      expect(answer(`seq ${5000 + at} ack 1006 ${quote(said.slice(at))}`)).toBe(
        `seq 5000 ack 1008 ${text("229 Entering Extended Passive Mode (|||51207|)")}`,
      );
    }
  });

  it("may send a command again: the bytes are the same", async () => {
    const nat = await open();
    const { client } = connect(nat);
    const line = `seq 1000 ack 5000 ${text("EPRT |2|2001:db8:1::5|5001|")}`;
    expect(client(line)).toBe(client(line));
    expect(nat.counter("ftp_announced")).toBe(1);
  });
});

describe("numbers and sizes", () => {
  it("errors quote their sender's number, whichever family they come from", async () => {
    const nat = await open();
    const { client, server: answer } = connect(nat);
    client(`seq 1000 ack 5000 ${text("EPSV 2")}`);
    client(`seq 1008 ack 5000 ${text("LIST")}`);
    const quoted = "tcp 203.0.113.1:5000 > 192.0.2.1:21 psh seq 1006 ack 5000";
    expect(nat.in(`icmp 198.51.100.9 > 203.0.113.1 unreachable code 4 mtu 1400 payload (${quoted})`)[0]).toMatch(
      /^next icmp6 .* too-big mtu 1420 payload \(.*tcp \[2001:db8:1::5\]:5000 > .* seq 1008 ack 5000\)$/,
    );
    const said = "227 (192,0,2,1,200,7)";
    const told = "229 Entering Extended Passive Mode (|||51207|)";
    answer(`seq 5000 ack 1012 ${text(said)}`);
    answer(`seq ${5000 + bytesOf(said)} ack 1012 ${text("150 ok")}`);
    const back = `tcp [${server}]:21 > [${host}]:5000 psh seq ${5000 + bytesOf(told)} ack 1014`;
    expect(nat.out(`icmp6 ${host} > ${server} too-big mtu 1300 payload (${back})`)[0]).toMatch(
      new RegExp(`^next icmp .* payload \\(.*tcp 192.0.2.1:21 > .* seq ${5000 + bytesOf(said)} ack 1014\\)$`),
    );
  });

  it("what gets longer is no larger than the way takes where its header is longer, too", async () => {
    const nat = await open();
    setMtu(nat, 1300);
    const { server: answer } = connect(nat);
    const said = `227 (192,0,2,1,200,7)\r\n${"x".repeat(1217)}`;
    const told = `229 Entering Extended Passive Mode (|||51207|)\r\n${"x".repeat(1217)}`;
    expect(said.length).toBe(1300 - 60);
    expect(payloadOf(answer(`df seq 5000 ack 1000 ${payloadWords(said)}`))).toBe(told.slice(0, said.length));
  });
});

describe("what goes on as it came, and is counted", () => {
  it.each([
    ["client", "EPRT |2|2001:db8:1::6|5001|", "ftp_refused"],
    ["client", "EPRT |2|2001:db8:1::5|80|", "ftp_refused"],
    ["client", "EPRT |1|10.0.0.1|5001|", "ftp_malformed"],
    ["client", "EPRT |2|2001:db8:1::5|5001", "ftp_malformed"],
    ["client", "EPRT ", "ftp_malformed"],
    ["client", "EPSVX", undefined],
    ["client", "PASV", undefined],
    ["client", "AUTH TLS", undefined],
    ["server", "227 Entering Passive Mode (10,0,0,9,200,7).", "ftp_refused"],
    ["server", "227 Entering Passive Mode (192,0,2,1,0,7).", "ftp_refused"],
    ["server", "227 Entering Passive Mode (192,0,2,1,200).", "ftp_malformed"],
    ["server", "227", undefined],
    ["server", "220 ready", undefined],
  ] as const)("of the %s: %s", async (side, line, counter) => {
    const nat = await open();
    const words = `${side === "client" ? "seq 1000 ack 5000" : "seq 5000 ack 1000"} ${text(line)}`;
    expect(connect(nat)[side](words)).toBe(words);
    if (counter !== undefined) expect(nat.counter(counter)).toBe(1);
    expect(nat.counter("expectations")).toBe(0);
  });

  it("without the key, all of it", async () => {
    const nat = await open({ helpers: {} });
    const words = `seq 1000 ack 5000 ${text("EPSV")}`;
    expect(connect(nat).client(words)).toBe(words);
  });

  it("bytes of every value, and a command whose rest does not come", async () => {
    const nat = await open();
    const { client } = connect(nat);
    expect(client('seq 1000 ack 5000 payload "EPS"')).toBe("drop ftp-incomplete");
    expect(client('seq 1000 ack 5000 payload "EPS"')).toBe('seq 1000 ack 5000 payload "EPS"');
    const bytes = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0")).join("");
    expect(client(`seq 1003 ack 5000 payload ${bytes}`)).toContain("seq 1003");
    expect(client(`seq 1259 ack 5000 ${text("\\nEPSV")}`)).toContain("PASV");
    expect(nat.counter("ftp_unfinished")).toBe(1);
  });
});
