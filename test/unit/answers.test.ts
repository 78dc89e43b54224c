// `answersFor`: what a document may say, what is wrong with it otherwise, and what changes while a chain runs.
import { describe, expect, it } from "vitest";
import { planCanary } from "../../runtime/chain/canary.ts";
import { parseDocument } from "../../runtime/chain/document.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { requireChangeable } from "../../runtime/dataplane/changeable.ts";
import { requireForeign } from "../../runtime/dataplane/own-addresses.ts";
import { collectFaults } from "../support/collect-faults.ts";
import { makeFunctionSource } from "../support/function-source.ts";

const write = (wan: string, lan = "") => `chain: edge
ports:
  lan: { device: sltest-lan0${lan} }
  wan: { device: sltest-wan0, ${wan} }
paths:
  - { from: lan, to: wan }
  - { from: wan, to: lan }
`;
const plan = (text: string) => planChain(parseDocument(text, "edge.yaml"), makeFunctionSource()).plan;
const faults = (text: string) =>
  collectFaults(() => plan(text)).map(({ code, where, what }) => `${code} ${where} ${what}`);

describe("answersFor", () => {
  it("takes addresses and prefixes of both families", () => {
    const [lan, wan] = plan(write('answersFor: [203.0.113.1, 203.0.113.16/28, "2001:db8:1::/48"]')).ports;
    expect(lan?.answersFor).toEqual([]);
    expect(wan?.answersFor.map(({ address, prefixLength }) => `${address.toHex()}/${prefixLength}`)).toEqual([
      "cb007101/32",
      "cb007110/28",
      "20010db8000100000000000000000000/48",
    ]);
  });

  it.each([
    [
      "answersFor: [203.0.113.300]",
      'document-schema edge.yaml:4:44 "203.0.113.300" is not a prefix such as 10.0.0.0/8 or 2001:db8::/32',
    ],
    ["answersFor: []", "document-schema edge.yaml:4:43 must not have fewer than 1 items"],
    [
      "answersFor: [203.0.113.1, 203.0.113.0/24]",
      'answers-conflict edge.yaml:4:57 203.0.113.0/24 and 203.0.113.1 of the port "wan" have addresses in common',
    ],
    [
      "answersFor: [0.0.0.0/0]",
      "answers-conflict edge.yaml:4:44 0.0.0.0/0 has addresses that stand for none (0.0.0.0/8)",
    ],
    ["answersFor: [127.0.0.1]", "answers-conflict edge.yaml:4:44 127.0.0.1 has loopback addresses (127.0.0.0/8)"],
    [
      "answersFor: [224.0.0.5]",
      "answers-conflict edge.yaml:4:44 224.0.0.5 has group and reserved addresses (224.0.0.0/3)",
    ],
    [
      'answersFor: ["fe80::1"]',
      "answers-conflict edge.yaml:4:44 fe80::1 has link-local addresses, which every port has of its own (fe80::/10)",
    ],
    [
      "answersFor: [203.0.113.1], forwarding: routed",
      "answers-conflict edge.yaml:4:43 a port with `forwarding: routed` answers for nobody",
    ],
    [
      "answersFor: [203.0.113.1], kernel: [lldp, arp]",
      "answers-conflict edge.yaml:4:43 the port leaves arp to the kernel, and never hears who is asked for",
    ],
    [
      'answersFor: ["2001:db8::1"], kernel: ["ip:58"]',
      "answers-conflict edge.yaml:4:43 the port leaves icmpv6 to the kernel, and never hears who is asked for",
    ],
  ])("refuses %s", (text, fault) => {
    expect(faults(write(text))[0]).toBe(fault);
  });

  it("says in one answer all that is wrong, beside what is no prefix at all", () => {
    expect(faults(write("answersFor: [203.0.113.300, 127.0.0.1, 198.51.100.1, 198.51.100.0/24]"))).toEqual([
      'document-schema edge.yaml:4:44 "203.0.113.300" is not a prefix such as 10.0.0.0/8 or 2001:db8::/32',
      "answers-conflict edge.yaml:4:59 127.0.0.1 has loopback addresses (127.0.0.0/8)",
      'answers-conflict edge.yaml:4:84 198.51.100.0/24 and 198.51.100.1 of the port "wan" have addresses in common',
    ]);
  });

  it("refuses addresses for which two ports of the chain would answer", () => {
    expect(faults(write("answersFor: [203.0.113.1]", ", answersFor: [203.0.113.0/30]"))).toEqual([
      'answers-conflict edge.yaml:4:44 203.0.113.1 and 203.0.113.0/30 of the port "lan" have addresses in common',
    ]);
  });

  it("leaves ARP to the kernel where only IPv6 is answered, and the other way round", () => {
    expect(faults(write('answersFor: ["2001:db8::1"], kernel: [arp]'))).toEqual([]);
    expect(faults(write("answersFor: [203.0.113.1], kernel: [icmpv6]"))).toEqual([]);
  });

  it("may be another one while the chain runs", () => {
    const before = plan(write("answersFor: [203.0.113.1]"));
    expect(() => requireChangeable(before, plan(write("answersFor: [203.0.113.2]")))).not.toThrow();
    expect(() => requireChangeable(before, plan(write("zone: outside")))).not.toThrow();
    expect(() => requireChangeable(before, plan(write("forwarding: routed")))).toThrow();
  });

  it("is that of all traffic: a canary cannot have another one", () => {
    const before = plan(write("answersFor: [203.0.113.1]"));
    const split = (text: string) =>
      collectFaults(() => planCanary(before, plan(text), { share: 0.5, match: null }, () => true));
    expect(split(write("answersFor: [203.0.113.1]"))).toEqual([]);
    expect(split(write("answersFor: [203.0.113.2]"))).toMatchObject([{ code: "change-refused" }]);
  });

  it("must not have an address of the chain's own devices", () => {
    const { ports } = plan(write("answersFor: [203.0.113.0/29]"));
    const having = (device: string, address: string) => ({
      [device]: [{ address } as NodeJS.Dict<never> & { address: string }],
    });
    const check = (device: string, address: string) => () => requireForeign(ports, having(device, address) as never);
    expect(check("sltest-wan0", "203.0.113.9")).not.toThrow();
    expect(check("other0", "203.0.113.1")).not.toThrow();
    expect(collectFaults(check("sltest-lan0", "203.0.113.1"))).toMatchObject([
      {
        code: "answers-conflict",
        where: "ports.wan.answersFor",
        what: "203.0.113.1 is an address of the device sltest-lan0 itself",
      },
    ]);
  });
});
