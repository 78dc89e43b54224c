// FTP through nfs/nat: what the lines of a control connection say on the other side, and which connections then come.
import { afterEach, describe, expect, it } from "vitest";
import { type NatOptions, type NatUnderTest, openNat } from "../support/nat-under-test.ts";

const opened: NatUnderTest[] = [];

const office = { from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve" };
const forwards = [{ address: "203.0.113.1", ipProto: "tcp", ports: 21, to: "10.0.0.80" }];

async function open(config: object = {}, options?: NatOptions): Promise<NatUnderTest> {
  const nat = await openNat({ sources: [office], helpers: { ftp: true }, ...config }, options);
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

interface Ends {
  readonly client: string;
  readonly server: string;
  /** As the other side has them. */
  readonly clientSeen: string;
  readonly serverSeen: string;
  readonly clientIsInside: boolean;
}

const clientInside: Ends = {
  client: "10.0.0.1:5000",
  server: "192.0.2.1:21",
  clientSeen: "203.0.113.1:5000",
  serverSeen: "192.0.2.1:21",
  clientIsInside: true,
};
const serverInside: Ends = {
  client: "192.0.2.9:4000",
  server: "10.0.0.80:21",
  clientSeen: "192.0.2.9:4000",
  serverSeen: "203.0.113.1:21",
  clientIsInside: false,
};

/** A control connection: the client's numbers begin at 1000, the server's at 5000. */
function connect(nat: NatUnderTest, ends: Ends) {
  const { client, server, clientSeen, serverSeen, clientIsInside } = ends;
  const forth = (words: string) => `tcp ${client} > ${clientIsInside ? server : serverSeen} ${words}`;
  const back = (words: string) => `tcp ${server} > ${clientIsInside ? clientSeen : client} ${words}`;
  const strip = (lines: readonly string[]) =>
    lines.map((line) => line.replace(/^next tcp \S+ > \S+ /, "").replace("psh ", ""));
  const send = {
    /** From the client, as the server gets it. */
    client: (words: string | readonly string[]) =>
      strip((clientIsInside ? nat.out : nat.in).call(nat, [words].flat().map(forth))),
    server: (words: string | readonly string[]) =>
      strip((clientIsInside ? nat.in : nat.out).call(nat, [words].flat().map(back))),
  };
  send.client("syn seq 999");
  send.server("syn seq 4999 ack 1000");
  send.client("seq 1000 ack 5000");
  return send;
}

const text = (line: string) => `payload "${line}\\r\\n"`;

describe("a client inside", () => {
  it("is called by the server at the outside endpoint that stands for what PORT names", async () => {
    const nat = await open();
    const { client } = connect(nat, clientInside);
    expect(client(`seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`)).toEqual([
      `seq 1000 ack 5000 ${text("PORT 203,0,113,1,19,137")}`,
    ]);
    expect(nat.in("tcp 192.0.2.1:20 > 203.0.113.1:5001 syn seq 1")).toEqual([
      "next tcp 192.0.2.1:20 > 10.0.0.1:5001 syn seq 1",
    ]);
    expect(nat.out("tcp 10.0.0.1:5001 > 192.0.2.1:20 syn seq 9 ack 2")).toEqual([
      "next tcp 203.0.113.1:5001 > 192.0.2.1:20 syn seq 9 ack 2",
    ]);
    expect(nat.counter("ftp_announced")).toBe(1);
  });

  it("names its endpoint with EPRT, too", async () => {
    const nat = await open();
    const { client } = connect(nat, clientInside);
    expect(client(`seq 1000 ack 5000 ${text("EPRT |1|10.0.0.1|5001|")}`)).toEqual([
      `seq 1000 ack 5000 ${text("EPRT |1|203.0.113.1|5001|")}`,
    ]);
    expect(nat.in("tcp 192.0.2.1:20 > 203.0.113.1:5001 syn")[0]).toMatch(/^next/);
  });

  it("is called once, by the server alone, and not for ever", async () => {
    const nat = await open();
    const { client } = connect(nat, clientInside);
    client(`seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`);
    expect(nat.in("tcp 192.0.2.2:20 > 203.0.113.1:5001 syn")).toEqual(["drop filtered"]);
    expect(nat.in("tcp 192.0.2.1:20 > 203.0.113.1:5001 syn")[0]).toMatch(/^next/);
    expect(nat.in("tcp 192.0.2.1:21 > 203.0.113.1:5001 syn")).toEqual(["drop filtered"]);
    client(`seq 1022 ack 5000 ${text("PORT 10,0,0,1,19,139")}`);
    expect(nat.in("tcp 192.0.2.1:20 > 203.0.113.1:5003 syn", 1000)[0]).toMatch(/^drop/);
  });

  it("has numbers on both sides that fit, for the rest of the connection", async () => {
    const nat = await open();
    const { client, server } = connect(nat, clientInside);
    client(`seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`); // 22 bytes become 25
    expect(server(`seq 5000 ack 1025 ${text("200 ok")}`)).toEqual([`seq 5000 ack 1022 ${text("200 ok")}`]);
    expect(client(`seq 1022 ack 5008 ${text("RETR x")}`)).toEqual([`seq 1025 ack 5008 ${text("RETR x")}`]);
    expect(client(`seq 1030 ack 5008 ${text("PORT 10,0,0,1,19,139")}`)).toEqual([
      `seq 1033 ack 5008 ${text("PORT 203,0,113,1,19,139")}`,
    ]);
    expect(server("seq 5008 ack 1058")).toEqual(["seq 5008 ack 1052"]);
    expect(client("fin seq 1052 ack 5008")).toEqual(["fin seq 1058 ack 5008"]);
    expect(server("seq 5008 ack 1059")).toEqual(["seq 5008 ack 1053"]);
  });

  it("gets selective acknowledgements of what it sent", async () => {
    const nat = await open();
    const { client, server } = connect(nat, clientInside);
    client(`seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`);
    const hex = (number: number) => number.toString(16).padStart(8, "0");
    for (const padding of ["0101", "01"]) {
      const option = (left: number, right: number) => {
        const words = `${padding}050a${hex(left)}${hex(right)}`;
        return words.padEnd(24, "00");
      };
      const [line = ""] = server(`seq 5000 ack 1000 tcp-options ${option(1025, 1033)}`);
      expect(line).toBe(`seq 5000 ack 1000 tcp-options ${option(1022, 1030)}`);
    }
  });

  it("may send a segment again, and in other pieces: the bytes are the same", async () => {
    const nat = await open();
    const { client } = connect(nat, clientInside);
    const first = client(`seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`);
    expect(client(`seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`)).toEqual(first);
    expect(client('seq 1000 ack 5000 payload "PORT 10,0,"')).toEqual(['seq 1000 ack 5000 payload "PORT 203,0"']);
    expect(client('seq 1010 ack 5000 payload "0,1,19,137\\r\\n"')).toEqual([
      'seq 1010 ack 5000 payload ",113,1,19,137\\r\\n"',
    ]);
    expect(nat.counter("ftp_announced")).toBe(1);
  });

  it("may cut a command into segments: it goes out with the last of them", async () => {
    const nat = await open();
    const { client, server } = connect(nat, clientInside);
    expect(
      client([
        'seq 1000 ack 5000 payload "PO"',
        'seq 1002 ack 5000 payload "RT 10,0,0"',
        'seq 1011 ack 5000 payload ",1,19"',
        'seq 1016 ack 5000 payload ",137\\r\\nLIST\\r\\n"',
      ]),
    ).toEqual([
      'seq 1000 ack 5000 payload "PO"',
      'seq 1002 ack 5000 payload "RT "',
      "drop ftp-incomplete",
      'seq 1005 ack 5000 payload "203,0,113,1,19,137\\r\\nLIST\\r\\n"',
    ]);
    expect(server("seq 5000 ack 1031")).toEqual(["seq 5000 ack 1028"]);
  });

  it("is not kept waiting for the rest of a command that does not come", async () => {
    const nat = await open();
    const { client } = connect(nat, clientInside);
    expect(client(['seq 1000 ack 5000 payload "PORT "', 'seq 1005 ack 5000 payload "10,0"'])[1]).toBe(
      "drop ftp-incomplete",
    );
    expect(client('seq 1005 ack 5000 payload "10,0"')).toEqual(['seq 1005 ack 5000 payload "10,0"']);
    expect(client('seq 1009 ack 5000 payload ",0,1,19,137\\r\\n"')).toEqual([
      'seq 1009 ack 5000 payload ",0,1,19,137\\r\\n"',
    ]);
    expect(nat.counter("ftp_unfinished")).toBe(1);
  });

  it("may say several things in one segment", async () => {
    const nat = await open();
    const { client } = connect(nat, clientInside);
    expect(
      client(
        'seq 1000 ack 5000 payload "TYPE I\\r\\nPORT 10,0,0,1,19,137\\r\\nRETR a\\r\\nEPRT |1|10.0.0.1|5003|\\r\\n"',
      ),
    ).toEqual([
      'seq 1000 ack 5000 payload "TYPE I\\r\\nPORT 203,0,113,1,19,137\\r\\nRETR a\\r\\nEPRT |1|203.0.113.1|5003|\\r\\n"',
    ]);
    expect(nat.counter("ftp_announced")).toBe(2);
  });

  it("has what comes too early sent again, so that lines are read in order", async () => {
    const nat = await open();
    const { client } = connect(nat, clientInside);
    expect(client(`seq 1022 ack 5000 ${text("LIST")}`)).toEqual(["drop ftp-order"]);
    client(`seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`);
    expect(client(`seq 1022 ack 5000 ${text("LIST")}`)).toEqual([`seq 1025 ack 5000 ${text("LIST")}`]);
  });

  it("reaches the endpoint that PASV or EPSV is answered with, as the same outside address", async () => {
    const nat = await open({
      sources: [{ ...office, pool: ["203.0.113.0/29"], pooling: "arbitrary", order: "random" }],
    });
    nat.out("tcp 10.0.0.1:5000 > 192.0.2.1:21 syn seq 999");
    const [out = ""] = nat.out("tcp 10.0.0.1:5000 > 192.0.2.1:21 seq 1000 ack 5000");
    const outside = /tcp (\S+):(\d+) >/.exec(out) ?? [];
    const reply = (line: string) => `tcp 192.0.2.1:21 > ${outside[1]}:${outside[2]} seq 5000 ack 1000 ${text(line)}`;
    const [passive] = nat.in(reply("227 Entering Passive Mode (192,0,2,1,200,7)."));
    expect(passive).toContain("(192,0,2,1,200,7)");
    expect(nat.out("tcp 10.0.0.1:6000 > 192.0.2.1:51207 syn")[0]).toContain(`next tcp ${outside[1]}:`);
  });
});

describe("a server inside", () => {
  it("is reached at the outside endpoint that stands for what 227 names", async () => {
    const nat = await open({ forwards });
    const { server } = connect(nat, serverInside);
    expect(server(`seq 5000 ack 1000 ${text("227 Entering Passive Mode (10,0,0,80,195,81).")}`)).toEqual([
      `seq 5000 ack 1000 ${text("227 Entering Passive Mode (203,0,113,1,195,81).")}`,
    ]);
    expect(nat.in("tcp 192.0.2.9:4001 > 203.0.113.1:50001 syn seq 1")).toEqual([
      "next tcp 192.0.2.9:4001 > 10.0.0.80:50001 syn seq 1",
    ]);
    expect(nat.out("tcp 10.0.0.80:50001 > 192.0.2.9:4001 syn ack 2")).toEqual([
      "next tcp 203.0.113.1:50001 > 192.0.2.9:4001 syn ack 2",
    ]);
  });

  it("is reached at the port that stands in 229, also without a rule for its own connections", async () => {
    const nat = await open({ forwards, sources: [{ ...office, from: ["10.7.0.0/16"] }] });
    const { server, client } = connect(nat, serverInside);
    expect(server(`seq 5000 ack 1000 ${text("229 Extended passive (|||50001|)")}`)).toEqual([
      `seq 5000 ack 1000 ${text("229 Extended passive (|||50001|)")}`,
    ]);
    expect(nat.in("tcp 192.0.2.9:4001 > 203.0.113.1:50001 syn")[0]).toBe(
      "next tcp 192.0.2.9:4001 > 10.0.0.80:50001 syn",
    );
    // The port is taken: another stands for it.
    nat.out("tcp 10.7.0.1:50003 > 192.0.2.77:80 syn");
    const [line = ""] = server(`seq 5034 ack 1000 ${text("229 Extended passive (|||50003|)")}`);
    const port = Number(/\|\|\|(\d+)\|/.exec(line)?.[1]);
    expect(port).not.toBe(50003);
    expect(nat.in(`tcp 192.0.2.9:4002 > 203.0.113.1:${port} syn`)).toEqual([
      "next tcp 192.0.2.9:4002 > 10.0.0.80:50003 syn",
    ]);
    expect(client(`seq 1000 ack 5034 ${text("LIST")}`)).toEqual([`seq 1000 ack 5034 ${text("LIST")}`]);
  });

  it("calls the client as the address that the client called", async () => {
    const nat = await open({ forwards, sources: [{ ...office, from: ["10.7.0.0/16"] }] });
    const { client } = connect(nat, serverInside);
    expect(client(`seq 1000 ack 5000 ${text("PORT 192,0,2,9,19,137")}`)).toEqual([
      `seq 1000 ack 5000 ${text("PORT 192,0,2,9,19,137")}`,
    ]);
    expect(nat.out("tcp 10.0.0.80:20 > 192.0.2.9:5001 syn")).toEqual(["next tcp 203.0.113.1:20 > 192.0.2.9:5001 syn"]);
    expect(nat.in("tcp 192.0.2.9:5001 > 203.0.113.1:20 syn ack 1")).toEqual([
      "next tcp 192.0.2.9:5001 > 10.0.0.80:20 syn ack 1",
    ]);
  });
});

it("one-to-one addresses keep their ports, and lines name the outside address", async () => {
  const nat = await open({ sources: [], oneToOne: [{ inside: "10.0.0.0/28", outside: "203.0.113.16/28" }] });
  nat.out("tcp 10.0.0.1:5000 > 192.0.2.1:21 syn seq 999");
  expect(nat.out(`tcp 10.0.0.1:5000 > 192.0.2.1:21 seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`)).toEqual([
    `next tcp 203.0.113.17:5000 > 192.0.2.1:21 seq 1000 ack 5000 ${text("PORT 203,0,113,17,19,137")}`,
  ]);
});

describe("what is not done", () => {
  it.each([
    ["PORT 10,0,0,2,19,137", "ftp_refused"],
    ["PORT 10,0,0,1,0,137", "ftp_refused"],
    ["EPRT |1|10.0.0.1|80|", "ftp_refused"],
    ["PORT 10,0,0,1,19", "ftp_malformed"],
    ["PORT 10,0,0,1,19,256", "ftp_malformed"],
    ["PORT 10,0,0,1,19,4294967433", "ftp_malformed"],
    ["PORT", undefined],
    ["EPRT |2|::1|5001|", "ftp_malformed"],
    ["EPRT |1|10.0.0.1|5001", "ftp_malformed"],
    ["EPRT |1|10.0.0.1|99999|", "ftp_malformed"],
    ["EPRT ", "ftp_malformed"],
    ["XPORT 10,0,0,1,19,137", undefined],
  ])("%s goes on as it is", async (line, counter) => {
    const nat = await open();
    const { client } = connect(nat, clientInside);
    expect(client(`seq 1000 ack 5000 ${text(line)}`)).toEqual([`seq 1000 ack 5000 ${text(line)}`]);
    if (counter !== undefined) expect(nat.counter(counter)).toBe(1);
    expect(nat.counter("expectations")).toBe(0);
  });

  it("another inside host is named if that is allowed", async () => {
    const nat = await open({ helpers: { ftp: { foreignAddresses: true } } });
    const { client } = connect(nat, clientInside);
    expect(client(`seq 1000 ack 5000 ${text("PORT 10,0,0,2,19,137")}`)).toEqual([
      `seq 1000 ack 5000 ${text("PORT 203,0,113,1,19,137")}`,
    ]);
    expect(nat.in("tcp 192.0.2.1:20 > 203.0.113.1:5001 syn")).toEqual(["next tcp 192.0.2.1:20 > 10.0.0.2:5001 syn"]);
  });

  it.each([
    ["227 Entering Passive Mode (0,255,255,255,19,137).", "seq 5000 ack 1000"],
    ["227 Entering Passive Mode (0,0,0,9,19,137).", "seq 5000 ack 1000"],
  ])("nobody's address, in %s, is not believed", async (line, head) => {
    const nat = await open({ helpers: { ftp: { foreignAddresses: true } } });
    const { server } = connect(nat, clientInside);
    expect(server(`${head} ${text(line)}`)).toEqual([`${head} ${text(line)}`]);
    expect(nat.counter("expectations")).toBe(0);
  });

  it.each(["PORT 0,255,255,255,19,137", "EPRT |1|0.0.0.9|5001|"])("nor in %s", async (line) => {
    const nat = await open({ helpers: { ftp: { foreignAddresses: true } } });
    const { client } = connect(nat, clientInside);
    expect(client(`seq 1000 ack 5000 ${text(line)}`)).toEqual([`seq 1000 ack 5000 ${text(line)}`]);
    expect(nat.counter("expectations")).toBe(0);
  });

  it("other ports than those of the configuration are nobody's, and without it none is", async () => {
    for (const helpers of [{ ftp: { ports: [2121] } }, {}, { ftp: false }]) {
      const nat = await open({ helpers });
      const { client } = connect(nat, clientInside);
      const line = `seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`;
      expect(client(line)).toEqual([line]);
    }
  });

  it("lines without end, and bytes of every value, pass as they are", async () => {
    const nat = await open();
    const { client } = connect(nat, clientInside);
    const long = `seq 1000 ack 5000 payload "PORT ${"1".repeat(1000)}"`;
    expect(client(long)).toEqual([long]);
    const bytes = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0")).join("");
    expect(client(`seq 2005 ack 5000 payload ${bytes}`)[0]).toContain("seq 2005");
    expect(client(`seq 2261 ack 5000 ${text("\\nPORT 10,0,0,1,19,137")}`)[0]).toContain("203,0,113,1");
  });
});

it("leaves nothing behind", async () => {
  const nat = await open({ forwards }, { flows: { timeouts: { tcp: { syn_sent: 10, established: 300 } } } });
  const { client } = connect(nat, clientInside);
  client(`seq 1000 ack 5000 ${text("PORT 10,0,0,1,19,137")}`);
  connect(nat, serverInside).server(`seq 5000 ack 1000 ${text("229 Extended passive (|||50001|)")}`);
  expect(nat.counter("controls")).toBe(2);
  nat.out("udp 172.16.0.1:1 > 192.0.2.1:1", 2000);
  for (let i = 0; i < 100; i++) nat.out("udp 172.16.0.1:1 > 192.0.2.1:1");
  expect(nat.held).toEqual([0, 0, 0, 0]);
  expect([nat.counter("expectations"), nat.counter("controls")]).toEqual([0, 0]);
});

describe("over IPv6", () => {
  const [inside, outside, far] = ["fd00:1::5", "2001:db8:f::1", "2001:db8:9::21"] as const;
  const six = {
    sources: [{ from: ["fd00:1::/64"], pool: [outside], order: "preserve" }],
    forwards: [{ address: outside, ipProto: "tcp", ports: 21, to: "fd00:1::21" }],
  };
  const asClient: Ends = {
    client: `[${inside}]:5000`,
    server: `[${far}]:21`,
    clientSeen: `[${outside}]:5000`,
    serverSeen: `[${far}]:21`,
    clientIsInside: true,
  };
  const asServer: Ends = {
    client: "[2001:db8:9::9]:4000",
    server: "[fd00:1::21]:21",
    clientSeen: "[2001:db8:9::9]:4000",
    serverSeen: `[${outside}]:21`,
    clientIsInside: false,
  };

  it.each(["fd00:1::5", "FD00:1:0:0:0:0:0:5", "fd00:1:0::5", "fd00:1::0.0.0.5"])(
    "a client inside that names %s with EPRT is called by the server",
    async (written) => {
      const nat = await open(six);
      const { client, server } = connect(nat, asClient);
      const told = "EPRT |2|2001:db8:f::1|5001|";
      expect(client(`seq 1000 ack 5000 ${text(`EPRT |2|${written}|5001|`)}`)).toEqual([
        `seq 1000 ack 5000 ${text(told)}`,
      ]);
      const [sent, came] = [written.length + 16, told.length + 2];
      expect(server(`seq 5000 ack ${1000 + came} ${text("200 ok")}`)).toEqual([
        `seq 5000 ack ${1000 + sent} ${text("200 ok")}`,
      ]);
      expect(nat.in(`tcp [${far}]:20 > [${outside}]:5001 syn seq 1`)).toEqual([
        `next tcp [${far}]:20 > [${inside}]:5001 syn seq 1`,
      ]);
      expect(nat.in(`tcp [2001:db8:9::22]:20 > [${outside}]:5001 syn`)).toEqual(["drop filtered"]);
      expect(nat.counter("ftp_announced")).toBe(1);
      nat.out("udp [fe80::1]:1 > [fe80::2]:1", 90_000);
      nat.out("udp [fe80::1]:1 > [fe80::2]:1", 90_002);
      expect([...nat.held, nat.counter("expectations"), nat.counter("addresses")]).toEqual([0, 0, 0, 0, 0, 2]);
    },
  );

  it.each([
    "2001:db8:f::",
    "2001:db8:f:0:1::1",
    "2001:0:0:1::1",
    "1:0:2:3:4:5:6:7",
    "::f:0:0:1:1:1",
    "2001:db8:f:1:2:3:4:5",
  ])("writes %s as everybody does", async (address) => {
    const nat = await open({ sources: [{ from: ["fd00:1::/64"], pool: [address], order: "preserve" }] });
    const { client } = connect(nat, asClient);
    expect(client(`seq 1000 ack 5000 ${text("EPRT |2|fd00:1::5|5001|")}`)).toEqual([
      `seq 1000 ack 5000 ${text(`EPRT |2|${address}|5001|`)}`,
    ]);
  });

  it("a server inside is called where EPSV's answer says", async () => {
    const nat = await open({ ...six, sources: [] });
    const { client, server } = connect(nat, asServer);
    client(`seq 1000 ack 5000 ${text("EPSV")}`);
    const [answer = ""] = server(`seq 5000 ack 1006 ${text("229 Entering (|||6001|)")}`);
    const port = Number(/\|\|\|(\d+)\|/.exec(answer)?.[1]);
    expect(nat.in(`tcp [2001:db8:9::9]:4001 > [${outside}]:${port} syn`)).toEqual([
      "next tcp [2001:db8:9::9]:4001 > [fd00:1::21]:6001 syn",
    ]);
  });

  it.each([
    ["EPRT |2|fd00:1::6|5001|", "ftp_refused"],
    ["EPRT |2|fd00:1::5|80|", "ftp_refused"],
    ["EPRT |1|10.0.0.1|5001|", "ftp_malformed"],
    ["PORT 10,0,0,1,19,137", "ftp_malformed"],
    ["EPRT |2|fd00:1:5|5001|", "ftp_malformed"],
    ["EPRT |2|fd00::1::5|5001|", "ftp_malformed"],
    ["EPRT |2|fd00:1::5:|5001|", "ftp_malformed"],
    ["EPRT |2|1:2:3:4:5:6:7:8:9|5001|", "ftp_malformed"],
    ["EPRT |2|:|5001|", "ftp_malformed"],
    ["EPRT |2|1:2:3:4:5:6:7:1.2.3.4|5001|", "ftp_malformed"],
    ["EPRT |2|fd00:1::1.2.3|5001|", "ftp_malformed"],
    ["EPRT |2|fd00:1::1.2.3.4:5|5001|", "ftp_malformed"],
    ["EPRT |2|fd00:1::256.2.3.4|5001|", "ftp_malformed"],
    ["EPRT |2||5001|", "ftp_malformed"],
  ])("%s goes on as it came, and is counted", async (line, counter) => {
    const nat = await open(six);
    const { client } = connect(nat, asClient);
    expect(client(`seq 1000 ack 5000 ${text(line)}`)).toEqual([`seq 1000 ack 5000 ${text(line)}`]);
    expect(nat.counter(counter)).toBe(1);
    expect(nat.counter("ftp_announced")).toBe(0);
  });
});
