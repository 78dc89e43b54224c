// Proxy ARP and proxy neighbour discovery: who is answered, with which bytes, and where frames go that come because of it.
import { afterEach, describe, expect, it } from "vitest";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import {
  AnsweringLane,
  type AnsweringOptions,
  bytesOfMac,
  type Discovery,
  discoveryFrame,
  LAN_MAC,
  SECOND_NS,
  WAN_MAC,
} from "../support/answering-lane.ts";

const ROUTER = "02:00:00:00:00:fe";
const HOST = "02:00:00:00:00:05";
const LINK = "fe80::53:4cff:fe00:1";

let open: AnsweringLane | undefined;
afterEach(() => {
  open?.close();
  open = undefined;
});

function answering(options: AnsweringOptions = {}): AnsweringLane {
  open = new AnsweringLane({
    answersFor: '[203.0.113.1, 203.0.113.16/28, 10.0.0.0/24, "2001:db8:1::/64"]',
    ...options,
  });
  return open;
}

const hex = (frames: readonly Uint8Array[]) => frames.map((frame) => frame.toHex());
const fill = (text: string, bytes: number) => text.replaceAll(" ", "").padEnd(bytes * 2, "0");
const request = (line: string) => encodePacket(`ether ${ROUTER} > ff:ff:ff:ff:ff:ff ${line}`);
const asks = request(`arp who-has 203.0.113.1 tell 203.0.113.254 sha ${ROUTER}`);

describe("an ARP request", () => {
  it("for an address of the port is answered, byte by byte, and goes no further", () => {
    const lane = answering();
    expect(lane.send("wan", asks)).toEqual(["consume answered"]);
    const answer = "0200000000fe 02534c000001 0806 0001 0800 06 04 0002 02534c000001 cb007101 0200000000fe cb0071fe";
    expect(hex(lane.left("wan"))).toEqual([fill(answer, 60)]);
    expect(lane.left("lan")).toEqual([]);
    expect(lane.counters.lane).toMatchObject({
      received: 1,
      emitted: 1,
      transmitted: 1,
      consumed: 1,
      answered: 1,
      asked: 0,
    });
  });

  it("keeps its VLAN tags, two and of any kind", () => {
    const lane = answering();
    const tagged = request(
      `vlan 7 priority 3 tpid 0x88a8 vlan 9 arp who-has 203.0.113.20 tell 203.0.113.254 sha ${ROUTER}`,
    );
    expect(lane.send("wan", tagged)).toEqual(["consume answered"]);
    const answer =
      "0200000000fe 02534c000001 88a86007 81000009 0806 0001080006040002 02534c000001 cb007114 0200000000fe cb0071fe";
    expect(hex(lane.left("wan"))).toEqual([fill(answer, 60)]);
  });

  it("that is a probe (RFC 5227) is answered: the address is taken", () => {
    const lane = answering();
    const probe = request(`arp who-has 203.0.113.1 tell 0.0.0.0 sha ${ROUTER}`);
    expect(lane.send("wan", probe)).toEqual(["consume answered"]);
    const answer = "0200000000fe 02534c000001 0806 0001080006040002 02534c000001 cb007101 0200000000fe 00000000";
    expect(hex(lane.left("wan"))).toEqual([fill(answer, 60)]);
  });

  it("that is sent to the port alone is answered, too", () => {
    const lane = answering();
    const direct = encodePacket(
      `ether ${ROUTER} > ${WAN_MAC} arp who-has 203.0.113.1 tell 203.0.113.254 sha ${ROUTER}`,
    );
    expect(lane.send("wan", direct)).toEqual(["consume answered"]);
  });

  const others: readonly (readonly [string, Uint8Array])[] = [
    ["for another address", request(`arp who-has 203.0.113.2 tell 203.0.113.254 sha ${ROUTER}`)],
    ["that announces an address", request(`arp who-has 203.0.113.1 tell 203.0.113.1 sha ${ROUTER}`)],
    ["from nobody's link address", request("arp who-has 203.0.113.1 tell 203.0.113.254 sha 00:00:00:00:00:00")],
    ["from a group's link address", request("arp who-has 203.0.113.1 tell 203.0.113.254 sha 03:00:00:00:00:01")],
    ["that is cut short", asks.slice(0, 41)],
    ["of another kind of link", patched(asks, 15, 6)],
    ["about another protocol", patched(asks, 16, 0x86)],
    ["with an unknown operation", patched(asks, 21, 3)],
    ["that is an answer", patched(asks, 21, 2)],
  ];

  it.each(others)("%s goes through the chain as it is", (_, frame) => {
    const lane = answering();
    expect(lane.send("wan", frame)).toEqual(["forward lan"]);
    expect(hex(lane.left("lan"))).toEqual([frame.toHex()]);
    expect(lane.left("wan")).toEqual([]);
  });

  it("at another port goes through the chain", () => {
    const lane = answering();
    expect(lane.send("lan", asks)).toEqual(["forward wan"]);
  });
});

const solicited: Discovery = {
  ether: [ROUTER, "33:33:ff:00:00:05"],
  ...{ from: "2001:db8:1::fe", to: "ff02::1:ff00:5", type: 135, target: "2001:db8:1::5", options: "01010200000000fe" },
};

describe("a neighbour solicitation", () => {
  it("for an address of the port is answered without the override flag, byte by byte", () => {
    const lane = answering();
    expect(lane.send("wan", discoveryFrame(solicited))).toEqual(["consume answered"]);
    const answer = discoveryFrame({
      ether: [WAN_MAC, ROUTER],
      ...{ from: LINK, to: "2001:db8:1::fe", type: 136, flags: 0x40, target: "2001:db8:1::5" },
      options: "020102534c000001",
    });
    expect(hex(lane.left("wan"))).toEqual([answer.toHex()]);
  });

  it("that looks for duplicates is answered to all nodes", () => {
    const lane = answering();
    expect(lane.send("wan", discoveryFrame({ ...solicited, from: "::", options: "", tags: "81000007" }))).toEqual([
      "consume answered",
    ]);
    const answer = discoveryFrame({
      ether: [WAN_MAC, "33:33:00:00:00:01"],
      tags: "81000007",
      ...{ from: LINK, to: "ff02::1", type: 136, flags: 0, target: "2001:db8:1::5", options: "020102534c000001" },
    });
    expect(hex(lane.left("wan"))).toEqual([answer.toHex()]);
  });

  it("to the address itself, without a link address in it, is answered to who sent the frame", () => {
    const lane = answering();
    const direct: Discovery = { ...solicited, ether: [ROUTER, WAN_MAC], to: "2001:db8:1::5", options: "" };
    expect(lane.send("wan", discoveryFrame(direct))).toEqual(["consume answered"]);
    expect(lane.left("wan")[0]?.toHex()).toMatch(/^0200000000fe02534c000001/);
  });

  it("for the port's own link-local address is answered as by who has it", () => {
    const lane = answering();
    const own: Discovery = { ...solicited, target: LINK, to: "ff02::1:ff00:1", ether: [ROUTER, "33:33:ff:00:00:01"] };
    expect(lane.send("wan", discoveryFrame(own))).toEqual(["consume answered"]);
    expect(lane.left("wan")[0]?.[58]).toBe(0x60);
  });

  const others: readonly (readonly [string, Partial<Discovery>])[] = [
    ["for another address", { target: "2001:db8:2::5" }],
    ["that has passed a router", { hopLimit: 254 }],
    ["with a code", { code: 1 }],
    ["with a wrong checksum", { damage: 1 }],
    ["with an option of no length", { options: "01000200000000fe" }],
    ["with an option that is cut short", { options: "01020200000000fe" }],
    ["about a group", { target: "ff02::5" }],
    ["from nobody, with a link address", { from: "::" }],
    ["from nobody, to one host", { from: "::", options: "", to: "2001:db8:1::5" }],
    ["that is an advertisement", { type: 136, options: "02010200000000fe" }],
  ];

  it.each(others)("%s goes through the chain as it is", (_, change) => {
    const lane = answering();
    const frame = discoveryFrame({ ...solicited, ...change });
    expect(lane.send("wan", frame)).toEqual(["forward lan"]);
    expect(lane.left("wan")).toEqual([]);
    expect(hex(lane.left("lan"))).toEqual([frame.toHex()]);
  });

  it("that ends before its target goes through the chain as it is", () => {
    const lane = answering();
    expect(lane.send("wan", discoveryFrame(solicited).slice(0, 60))).toEqual(["forward lan"]);
  });
});

const toHost = encodePacket(`ether ${ROUTER} > ${WAN_MAC} udp 198.51.100.1:53 > 10.0.0.5:5000 payload "hello"`);
const atHost = encodePacket(`ether ${LAN_MAC} > ${HOST} udp 198.51.100.1:53 > 10.0.0.5:5000 payload "hello"`);
const fromHost = encodePacket(`ether ${HOST} > ${ROUTER} udp 10.0.0.5:5000 > 198.51.100.1:53`);
const hostAnswers = encodePacket(`ether ${HOST} > ${LAN_MAC} arp reply 10.0.0.5 to 0.0.0.0 sha ${HOST} tha ${LAN_MAC}`);

describe("a frame that comes because the port answered", () => {
  it("goes to the link address from which its host began a flow, and comes from the port where it leaves", () => {
    const lane = answering();
    expect(lane.send("lan", fromHost)).toEqual(["forward wan"]);
    expect(hex(lane.left("wan"))).toEqual([fromHost.toHex()]);
    expect(lane.send("wan", toHost)).toEqual(["forward lan"]);
    expect(hex(lane.left("lan"))).toEqual([atHost.toHex()]);
  });

  it.each([
    ["asked for somebody", `ether ${HOST} > ff:ff:ff:ff:ff:ff arp who-has 10.0.0.254 tell 10.0.0.5 sha ${HOST}`],
    ["announced itself", `ether ${HOST} > ff:ff:ff:ff:ff:ff arp who-has 10.0.0.5 tell 10.0.0.5 sha ${HOST}`],
    ["answered somebody", `ether ${HOST} > ${ROUTER} arp reply 10.0.0.5 to 10.0.0.254 sha ${HOST} tha ${ROUTER}`],
  ])("goes to the host that %s", (_, line) => {
    const lane = answering();
    lane.send("lan", encodePacket(line));
    expect(lane.send("wan", toHost)).toEqual(["forward lan"]);
    expect(hex(lane.left("lan"))).toEqual([atHost.toHex()]);
  });

  it("waits for a host that has said nothing: it is asked for, answers, and gets what waited, in order", () => {
    const lane = answering();
    const second = encodePacket(`ether ${ROUTER} > ${WAN_MAC} udp 198.51.100.1:53 > 10.0.0.5:5000 payload "again"`);
    expect(lane.send("wan", toHost, second)).toEqual([]);
    const question = "ffffffffffff 02534c000000 0806 0001080006040001 02534c000000 00000000 000000000000 0a000005";
    expect(hex(lane.left("lan"))).toEqual([fill(question, 60)]);
    expect(lane.send("lan", hostAnswers).toSorted()).toEqual(["consume resolved", "forward lan", "forward lan"]);
    expect(lane.left("lan").map(formatPacket)).toEqual(
      ["hello", "again"].map((payload) =>
        formatPacket(
          encodePacket(`ether ${LAN_MAC} > ${HOST} udp 198.51.100.1:53 > 10.0.0.5:5000 payload "${payload}"`),
        ),
      ),
    );
    expect(lane.left("wan")).toEqual([]);
    expect(lane.counters.lane).toMatchObject({ asked: 1, answered: 0, consumed: 1 });
  });

  it("finds an IPv6 host in the same way, by a solicitation with its tags", () => {
    const lane = answering();
    const tagged = encodePacket(`ether ${ROUTER} > ${WAN_MAC} vlan 7 udp [2001:db8:9::1]:53 > [2001:db8:1::5]:5000`);
    expect(lane.send("wan", tagged)).toEqual([]);
    const linkOfLan = "fe80::53:4cff:fe00:0";
    const question = discoveryFrame({
      ether: [LAN_MAC, "33:33:ff:00:00:05"],
      tags: "81000007",
      ...{ from: linkOfLan, to: "ff02::1:ff00:5", type: 135, target: "2001:db8:1::5", options: "010102534c000000" },
    });
    expect(hex(lane.left("lan"))).toEqual([question.toHex()]);
    const answer: Discovery = {
      ether: [HOST, LAN_MAC],
      tags: "81000007",
      ...{ from: "2001:db8:1::5", to: linkOfLan, type: 136, flags: 0x60, target: "2001:db8:1::5" },
      options: "0201020000000005",
    };
    expect(lane.send("lan", discoveryFrame({ ...answer, tags: "81000008" }))).toEqual(["consume resolved"]);
    expect(lane.send("lan", discoveryFrame(answer)).toSorted()).toEqual(["consume resolved", "forward lan"]);
    expect(lane.left("lan").map(formatPacket)).toEqual([
      formatPacket(encodePacket(`ether ${LAN_MAC} > ${HOST} vlan 7 udp [2001:db8:9::1]:53 > [2001:db8:1::5]:5000`)),
    ]);
  });

  it("is given up after three seconds and three questions, with a reason that is counted", () => {
    const lane = answering();
    expect(lane.send("wan", toHost)).toEqual([]);
    const said: string[] = [];
    for (let second = 0; second < 3; second++) {
      lane.pass(SECOND_NS);
      said.push(...lane.send("wan", encodePacket(`udp 198.51.100.1:1 > 198.51.100.2:${second + 1}`)));
    }
    expect(said).toEqual(["forward lan", "forward lan", "drop neighbour-unknown", "forward lan"]);
    expect(lane.left("lan").filter((frame) => frame[12] === 8 && frame[13] === 6)).toHaveLength(3);
    expect(lane.counters.engineDrops).toEqual({ "neighbour-unknown": 1 });
    expect(lane.counters.lane).toMatchObject({ asked: 3, dropped: 1 });
  });

  it("finds no room where 64 wait for the same host", () => {
    const lane = answering();
    expect(lane.send("wan", ...Array.from({ length: 66 }, () => toHost))).toEqual(
      Array(2).fill("drop neighbour-unknown"),
    );
    expect(lane.left("lan")).toHaveLength(1);
  });

  it("goes back by the port where it came in, if that is where the chain sends it", () => {
    const lane = answering({ paths: "[{ from: wan, to: wan }, { from: lan, to: lan }]" });
    expect(lane.send("wan", toHost)).toEqual([]);
    const answer = encodePacket(`ether ${HOST} > ${WAN_MAC} arp reply 10.0.0.5 to 0.0.0.0 sha ${HOST} tha ${WAN_MAC}`);
    expect(lane.send("wan", answer).toSorted()).toEqual(["consume resolved", "forward wan"]);
    expect(hex(lane.left("wan")).at(-1)).toMatch(/^02000000000502534c000001/);
  });
});

describe("what is known of hosts", () => {
  const moved = "02:00:00:00:00:66";

  it("is not changed by who speaks at the port where frames come in", () => {
    const lane = answering();
    lane.send("lan", fromHost);
    lane.send(
      "wan",
      encodePacket(`ether ${moved} > ff:ff:ff:ff:ff:ff arp who-has 10.0.0.5 tell 10.0.0.5 sha ${moved}`),
    );
    lane.send("wan", encodePacket(`ether ${moved} > ${ROUTER} udp 10.0.0.5:1 > 198.51.100.1:1`));
    lane.left("lan");
    lane.send("wan", toHost);
    expect(hex(lane.left("lan"))).toEqual([atHost.toHex()]);
  });

  it("is not changed by a mere packet, but by the host that says where it is", () => {
    const lane = answering();
    lane.send("lan", fromHost);
    lane.send("lan", encodePacket(`ether ${moved} > ${ROUTER} udp 10.0.0.5:1 > 198.51.100.1:1`));
    lane.send("wan", toHost);
    expect(hex(lane.left("lan"))).toEqual([atHost.toHex()]);
    lane.send(
      "lan",
      encodePacket(`ether ${moved} > ff:ff:ff:ff:ff:ff arp who-has 10.0.0.5 tell 10.0.0.5 sha ${moved}`),
    );
    lane.send("wan", toHost);
    expect(lane.left("lan")[0]?.slice(0, 6)).toEqual(bytesOfMac(moved));
  });

  it("is another matter in another VLAN", () => {
    const lane = answering();
    lane.send("lan", fromHost);
    expect(
      lane.send("wan", encodePacket(`ether ${ROUTER} > ${WAN_MAC} vlan 7 udp 198.51.100.1:53 > 10.0.0.5:1`)),
    ).toEqual([]);
  });

  it("is asked for again once it is old, while frames go on to where it was", () => {
    const lane = answering();
    lane.send("lan", fromHost);
    lane.pass(61n * SECOND_NS);
    expect(lane.send("wan", toHost, toHost)).toEqual(["forward lan", "forward lan"]);
    const left = lane.left("lan").map(formatPacket);
    expect(left.filter((line) => line.includes("arp who-has 10.0.0.5"))).toHaveLength(1);
    expect(left).toHaveLength(3);
  });

  it("is forgotten when nobody has spoken for twenty minutes", () => {
    const lane = answering();
    lane.send("lan", fromHost);
    lane.pass(1201n * SECOND_NS);
    expect(lane.send("wan", toHost)).toEqual([]);
  });

  it("comes from any packet while frames wait: hosts behind a router answer no question", () => {
    const lane = answering();
    lane.send("lan", fromHost);
    lane.pass(1201n * SECOND_NS);
    expect(lane.send("wan", toHost)).toEqual([]);
    expect(lane.send("lan", fromHost).toSorted()).toEqual(["forward lan", "forward wan"]);
  });

  it("outlives a generation, and so do frames that wait", () => {
    const lane = answering();
    lane.send("lan", fromHost);
    const silent = encodePacket(`ether ${ROUTER} > ${WAN_MAC} udp 198.51.100.1:53 > 10.0.0.6:5000`);
    expect(lane.send("wan", silent)).toEqual([]);
    lane.change({ answersFor: "[10.0.0.0/24, 203.0.113.99]" });
    expect(lane.send("wan", toHost)).toEqual(["forward lan"]);
    expect(lane.send("wan", asks)).toEqual(["forward lan"]);
    expect(lane.send("wan", request(`arp who-has 203.0.113.99 tell 203.0.113.254 sha ${ROUTER}`))).toEqual([
      "consume answered",
    ]);
    const found = encodePacket(`ether ${HOST} > ${LAN_MAC} arp reply 10.0.0.6 to 0.0.0.0 sha ${HOST} tha ${LAN_MAC}`);
    expect(lane.send("lan", found).toSorted()).toEqual(["consume resolved", "forward lan"]);
    lane.change({});
    expect(lane.send("wan", toHost)).toEqual(["forward lan"]);
    expect(lane.left("lan").at(-1)?.slice(0, 6)).toEqual(bytesOfMac(WAN_MAC));
  });

  it("has room for 8192 hosts, and loses none of the lane's frames over more", () => {
    const lane = answering();
    for (let block = 0; block < 64; block++) {
      const hosts = Array.from({ length: 256 }, (_, host) =>
        encodePacket(`ether ${HOST} > ${ROUTER} udp 10.${block}.0.${host}:1 > 198.51.100.1:1`),
      );
      expect(new Set(lane.send("lan", ...hosts))).toEqual(new Set(["forward wan"]));
      lane.left("wan");
    }
    lane.send("lan", fromHost);
    expect(lane.send("wan", toHost)).toEqual(["forward lan"]);
  });

  it("is not crowded out by those who answer at the other port what nobody asked", () => {
    const lane = answering();
    lane.send("lan", fromHost);
    for (let block = 0; block < 64; block++) {
      const answers = Array.from({ length: 256 }, (_, host) =>
        encodePacket(
          `ether ${moved} > ${WAN_MAC} arp reply 198.${block}.0.${host} to 0.0.0.0 sha ${moved} tha ${WAN_MAC}`,
        ),
      );
      lane.send("wan", ...answers);
    }
    lane.left("lan");
    expect(lane.send("wan", toHost)).toEqual(["forward lan"]);
    expect(hex(lane.left("lan"))).toEqual([atHost.toHex()]);
  });
});

describe("a port that answers for nobody", () => {
  it("changes nothing of frames, whoever they are for", () => {
    const lane = new AnsweringLane({});
    open = lane;
    expect(lane.send("wan", asks, toHost)).toEqual(["forward lan", "forward lan"]);
    expect(hex(lane.left("lan"))).toEqual([asks.toHex(), toHost.toHex()]);
  });
});

describe("frames that wait", () => {
  it("are given up when the lane stops, and none is lost", () => {
    const lane = answering();
    expect(lane.send("wan", toHost)).toEqual([]);
    lane.lane.native.endFlows();
    expect(lane.counters.engineDrops).toEqual({ "neighbour-unknown": 1 });
    expect(lane.lane.audit().intact).toBe(true);
  });
});

function patched(frame: Uint8Array, at: number, value: number): Uint8Array {
  const copy = frame.slice();
  copy[at] = value;
  return copy;
}
