import { describe, expect, it } from "vitest";
import { IpfixMessages } from "../../runtime/telemetry/ipfix-message.ts";
import { chooseTemplate, describeBiflow, type IpfixFlow, splitBiflow } from "../../runtime/telemetry/ipfix-records.ts";
import { type DecodedMessage, IpfixDecoder } from "../support/ipfix-decoder.ts";

const endpoint = (port: number, ...address: number[]) => ({ address: new Uint8Array(address), port });
const v6 = (last: number) => [0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), last];

const flow: IpfixFlow = {
  ...{
    ipVersion: 4,
    ipProto: 6,
    vlan: 7,
    source: endpoint(0x1234, 10, 0, 0, 1),
    destination: endpoint(80, 192, 0, 2, 1),
  },
  ...{ translated: null, startNs: 1_700_000_000_123_456_789n, endNs: 1_700_000_001_123_999_999n, endReason: 3 },
  ...{ packets: [3, 2], octets: [300, 0x1_0000_0002], tcpFlags: [0x1b, 0x12], interfaces: [3, 0x1_0004] },
};

function exchange(write: (messages: IpfixMessages) => void): DecodedMessage[] {
  const sent: Uint8Array[] = [];
  const messages = new IpfixMessages(0xabcd, (message) => sent.push(message));
  messages.sendTemplates({ messages: 1, octets: 2, records: 3, notSent: 4 });
  write(messages);
  messages.flush();
  const decoder = new IpfixDecoder();
  return sent.map((message) => decoder.decode(message));
}

const add = (messages: IpfixMessages, each: IpfixFlow, biflow: boolean) =>
  messages.addFlow(chooseTemplate(each, biflow), each);

describe("IPFIX messages", () => {
  it("carry a flow's values where the template says", () => {
    const [templates, data] = exchange((messages) => add(messages, flow, false)) as [DecodedMessage, DecodedMessage];
    expect(templates.templates[256]).toEqual([
      ...["152:8", "153:8", "8:4", "12:4", "7:2", "11:2", "4:1", "6:1", "136:1", "58:2", "10:4", "14:4", "2:8", "1:8"],
    ]);
    expect(data.records).toEqual([
      {
        template: 256,
        values: {
          152: "0000018bcfe5687b",
          153: "0000018bcfe56c63",
          ...{ 8: "0a000001", 12: "c0000201", 7: "1234", 11: "0050", 4: "06", 6: "1b", 136: "03", 58: "0007" },
          ...{ 10: "00000003", 14: "00010004" },
          ...{ 2: "0000000000000003", 1: "000000000000012c" },
        },
      },
    ]);
  });

  it("carry the reverse direction as RFC 5103 says", () => {
    const [templates, data] = exchange((messages) => add(messages, flow, true)) as [DecodedMessage, DecodedMessage];
    expect(templates.templates[258]).toEqual(expect.arrayContaining(["2/29305:8", "1/29305:8", "6/29305:1", "239:1"]));
    expect(data.records[0]?.values).toMatchObject({
      ...{ "2/29305": "0000000000000002", "1/29305": "0000000100000002", "6/29305": "12", 239: "01", 6: "1b" },
    });
  });

  it("carry IPv6, and addresses after translation", () => {
    const six: IpfixFlow = { ...flow, ipVersion: 6, source: endpoint(1, ...v6(1)), destination: endpoint(2, ...v6(2)) };
    const translated = [endpoint(3, ...v6(3)), endpoint(4, ...v6(4))] as const;
    const four = { ...flow, translated: [endpoint(61000, 203, 0, 113, 1), endpoint(53, 192, 0, 2, 53)] as const };
    const [, data] = exchange((messages) => {
      add(messages, six, false);
      add(messages, { ...six, translated }, true);
      add(messages, four, false);
      add(messages, { ...six, translated: four.translated }, true);
    }) as [DecodedMessage, DecodedMessage];
    const address = (last: number) => Buffer.from(v6(last)).toString("hex");
    expect(data.records.map(({ template }) => template)).toEqual([260, 263, 257, 268]);
    expect(data.records[3]?.values).toMatchObject({ 27: address(1), 28: address(2), 225: "cb007101", 226: "c0000235" });
    expect(data.records[0]?.values).toMatchObject({ 27: address(1), 28: address(2) });
    expect(data.records[1]?.values).toMatchObject({ 281: address(3), 282: address(4), 227: "0003", 228: "0004" });
    expect(data.records[2]?.values).toMatchObject({ 225: "cb007101", 226: "c0000235", 227: "ee48", 228: "0035" });
  });

  it("number the records that went before, in all messages of a domain", () => {
    const sent = exchange((messages) => {
      for (let i = 0; i < 50; i++) add(messages, { ...flow, ipProto: i % 2 }, i % 3 === 0);
    });
    const counts = sent.map(({ records }) => records.length);
    expect(sent.map(({ sequence }) => sequence)).toEqual(
      counts.map((_, index) => counts.slice(0, index).reduce((sum, count) => sum + count, 0)),
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(51);
    expect(sent.length).toBeGreaterThan(2);
    expect(sent.every(({ length, domain }) => length <= 1400 && domain === 0xabcd)).toBe(true);
    expect(Math.abs((sent[0]?.exportTime ?? 0) - Date.now() / 1000)).toBeLessThan(60);
  });

  it("say with the templates what was exported so far", () => {
    const [first] = exchange(() => {}) as [DecodedMessage];
    expect(first.templates[264]).toEqual(["149:4", "41:8", "40:8", "42:8", "166:8"]);
    expect(first.records).toEqual([
      {
        template: 264,
        values: {
          ...{ 149: "0000abcd", 41: "0000000000000001", 40: "0000000000000002", 42: "0000000000000003" },
          166: "0000000000000004",
        },
      },
    ]);
    expect(Object.keys(first.templates)).toHaveLength(13);
  });
});

describe("a flow as IPFIX", () => {
  const described = {
    ...flow,
    ...{
      reply: [endpoint(53, 192, 0, 2, 53), endpoint(61000, 203, 0, 113, 1)] as const,
      zone: 0,
      state: "",
      end: "reset",
    },
    ...({ lastNs: flow.endNs, retransmissions: [0, 0], outOfOrder: [0, 0], zeroWindows: [0, 0] } as const),
    ports: [1, -1] as const,
    ...{ rttUs: 0, invalid: 0, labels: 0 },
  };

  it("says what is new since it was reported, from there on", () => {
    const before = { startNs: 1n, lastNs: 5n, packets: [1, 2] as const, octets: [100, 2] as const };
    expect(describeBiflow(described, before, [7, 8])).toMatchObject({
      interfaces: [8, 0],
      ...{ startNs: 5n, endNs: flow.endNs, packets: [2, 0], octets: [200, 0x1_0000_0000], endReason: 3 },
    });
    expect(describeBiflow({ ...described, end: "active" }, undefined, [])).toMatchObject({
      packets: [3, 2],
      endReason: 2,
    });
  });

  it("is two records, each as its direction comes in, or one if nothing came back", () => {
    const [forth, back] = splitBiflow(describeBiflow(described, undefined, [7, 8])) as [IpfixFlow, IpfixFlow];
    const text = ({ address, port }: IpfixFlow["source"]) => `${address.join(".")}:${port}`;
    expect([forth.source, forth.destination, ...(forth.translated ?? [])].map(text)).toEqual([
      ...["10.0.0.1:4660", "192.0.2.1:80", "203.0.113.1:61000", "192.0.2.53:53"],
    ]);
    expect([back.source, back.destination, ...(back.translated ?? [])].map(text)).toEqual([
      ...["192.0.2.53:53", "203.0.113.1:61000", "192.0.2.1:80", "10.0.0.1:4660"],
    ]);
    expect([forth.interfaces, back.interfaces]).toEqual([
      [8, 0],
      [0, 8],
    ]);
    expect([back.packets, back.tcpFlags]).toEqual([
      [2, 3],
      [0x12, 0x1b],
    ]);
    expect(splitBiflow({ ...flow, packets: [1, 0] })).toHaveLength(1);
  });
});
