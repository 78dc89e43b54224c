// nat and firewall in one chain: data connections that are expected are related, through a change of generations, too.
import { join } from "node:path";
import { expect, it } from "vitest";
import { replayLines, type Step } from "../support/replayed-lines.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const document = (states: string) => `
chain: related
ports: { lan: { driver: memory }, wan: { driver: memory } }
functions:
  nat:
    use: nat@1
    config:
      outside: [wan]
      helpers: { ftp: true }
      sources: [{ from: [10.0.0.0/8], pool: [203.0.113.1], order: preserve }]
      forwards: [{ address: 203.0.113.1, ipProto: tcp, ports: 2121, to: 10.0.0.80, toPort: 21 }]
  fw:
    use: firewall@1
    config:
      rules:
        - { action: accept, ipProtos: [tcp], destinationPorts: [21, 2121] }
        - { action: accept, states: [${states}] }
paths:
  - { from: lan, through: [fw, nat], to: wan }
  - { from: wan, through: [nat, fw], to: lan }
`;
const chainOf = (states: string) => join(makeFolder({ "related.yaml": document(states) }), "related.yaml");

const text = (line: string) => `psh payload "${line}\\r\\n"`;
const control = (port: "lan" | "wan", ends: string, words: string): Step => ({ port, line: `tcp ${ends} ${words}` });
const forth = (words: string) => control("lan", "10.0.0.1:5000 > 192.0.2.1:21", words);
const back = (words: string) => control("wan", "192.0.2.1:21 > 203.0.113.1:5000", words);
const data = (words: string) => control("wan", "192.0.2.1:20 > 203.0.113.1:5001", words);
const dataBack = (words: string) => control("lan", "10.0.0.1:5001 > 192.0.2.1:20", words);

/** PORT is 3 bytes longer outside. */
const active: readonly Step[] = [
  forth("syn seq 999"),
  back("syn seq 4999 ack 1000"),
  forth("ack 5000 seq 1000"),
  forth(`ack 5000 seq 1000 ${text("PORT 10,0,0,1,19,137")}`),
  back(`ack 1025 seq 5000 ${text("200 ok")}`),
  forth(`ack 5008 seq 1022 ${text("RETR file")}`),
  back("ack 1036 seq 5008"),
  data("syn seq 1"),
  dataBack("syn seq 1 ack 2"),
  data("ack 2 seq 2"),
  forth("fin ack 5008 seq 1033"),
  back("fin ack 1037 seq 5008"),
  forth("ack 5009 seq 1034"),
];

const verdictsOf = (verdicts: readonly Record<string, unknown>[]) => verdicts.map(({ verdict }) => verdict);

it("an active data connection passes a firewall that accepts what is related, and no other", () => {
  const { verdicts, flows } = replayLines(chainOf("related"), active);
  expect(verdictsOf(verdicts)).toEqual(active.map(() => "forward"));
  const [first] = flows.filter((flow) => flow.dest_port === 21);
  expect(first).toMatchObject({
    reason: "closed",
    state: "time_wait",
    retransmissions_to_server: 0,
    retransmissions_to_client: 0,
  });
  const without = replayLines(chainOf("invalid"), active);
  expect(verdictsOf(without.verdicts).slice(7, 8)).toEqual(["drop"]);
  const stranger = [...active.slice(0, 7), control("wan", "192.0.2.2:20 > 203.0.113.1:5001", "syn seq 1")];
  expect(verdictsOf(replayLines(chainOf("related"), stranger).verdicts).at(-1)).toBe("drop");
});

it("numbers and expectations go on with the next generation", () => {
  const whole = replayLines(chainOf("related"), active);
  for (const step of [5, 8, 11]) {
    const changed = replayLines(chainOf("related"), active, "--swap", `${step}:nat=nat@1.2.0`);
    expect(changed.sent("lan")).toEqual(whole.sent("lan"));
    expect(changed.sent("wan")).toEqual(whole.sent("wan"));
  }
});

it("what a client inside opens is related, too, and so is what a server inside opens", () => {
  const passive = [
    ...active.slice(0, 3),
    back(`ack 1000 seq 5000 ${text("227 Entering Passive Mode (192,0,2,1,200,7)")}`),
    control("lan", "10.0.0.1:6000 > 192.0.2.1:51207", "syn seq 1"),
  ];
  expect(verdictsOf(replayLines(chainOf("related"), passive).verdicts)).toEqual(passive.map(() => "forward"));
  expect(verdictsOf(replayLines(chainOf("invalid"), passive).verdicts).at(-1)).toBe("drop");
  const inside = [
    control("wan", "192.0.2.9:4000 > 203.0.113.1:2121", "syn seq 999"),
    control("lan", "10.0.0.80:21 > 192.0.2.9:4000", "syn seq 4999 ack 1000"),
    control("wan", "192.0.2.9:4000 > 203.0.113.1:2121", "ack 5000 seq 1000"),
    control("wan", "192.0.2.9:4000 > 203.0.113.1:2121", `ack 5000 seq 1000 ${text("PORT 192,0,2,9,19,137")}`),
    control("lan", "10.0.0.80:20 > 192.0.2.9:5001", "syn seq 1"),
  ];
  const { verdicts, sent } = replayLines(chainOf("related"), inside);
  expect(verdictsOf(verdicts)).toEqual(inside.map(() => "forward"));
  expect(sent("wan").at(-1)).toBe("tcp 203.0.113.1:20 > 192.0.2.9:5001 syn seq 1");
});

it("is so over IPv6, too", () => {
  const six = document("related")
    .replace("[10.0.0.0/8], pool: [203.0.113.1]", '["fd00::/8"], pool: ["2001:db8:f::1"]')
    .replace("address: 203.0.113.1", 'address: "2001:db8:f::1"')
    .replace("to: 10.0.0.80", 'to: "fd00::80"');
  const chain = join(makeFolder({ "six.yaml": six }), "six.yaml");
  const ends = "[fd00::1]:5000 > [2001:db8:9::1]:21";
  const steps: readonly Step[] = [
    control("lan", ends, "syn seq 999"),
    control("wan", "[2001:db8:9::1]:21 > [2001:db8:f::1]:5000", "syn seq 4999 ack 1000"),
    control("lan", ends, `ack 5000 seq 1000 ${text("EPRT |2|fd00::1|5001|")}`),
    control("wan", "[2001:db8:9::1]:20 > [2001:db8:f::1]:5001", "syn seq 1"),
    control("wan", "[2001:db8:9::2]:20 > [2001:db8:f::1]:5001", "syn seq 1"),
  ];
  const { verdicts } = replayLines(chain, steps);
  expect(verdictsOf(verdicts)).toEqual(["forward", "forward", "forward", "forward", "drop"]);
});
