// nfs/nat in the chains of chains/nat.yaml and chains/nat64.yaml, replayed: what flows say, and what a fault and another generation leave.
import { join } from "node:path";
import { expect, it } from "vitest";
import { type Replayed, replayLines, type Step } from "../support/replayed-lines.ts";
import { projectRoot } from "../support/run-sluice.ts";

const replay = (steps: readonly Step[], ...options: readonly string[]) => replayOf("nat.yaml", steps, ...options);

function replayOf(name: string, steps: readonly Step[], ...options: readonly string[]): Replayed {
  return replayLines(join(projectRoot, "chains", name), steps, ...options);
}

const office: readonly Step[] = [
  { port: "lan", line: "udp 10.0.0.1:5000 > 192.0.2.1:53" },
  { port: "lan", line: "tcp 10.1.0.5:6000 > 192.0.2.1:80 syn seq 99" },
  { port: "wan", line: "tcp 192.0.2.1:80 > 203.0.113.21:6000 syn seq 499 ack 100" },
  { port: "wan", line: "tcp 192.0.2.7:7000 > 203.0.113.1:443 syn seq 9" },
  { port: "lan", line: "tcp 10.0.0.80:443 > 192.0.2.7:7000 syn seq 19 ack 10" },
  { port: "lan", line: "udp 10.0.0.1:5000 > 192.0.2.2:53" },
];
const address = (text: string) => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

it("names the inside host and the outside endpoint of every flow", () => {
  const { flows } = replay(office);
  const said = flows.map((flow) => [
    flow.dest_ip,
    flow["nat.inside_address"],
    flow["nat.inside_port"],
    flow["nat.outside_address"],
    flow.packets_to_client,
  ]);
  expect(said.toSorted()).toEqual(
    [
      ["192.0.2.1", address("10.0.0.1"), 5000, address("203.0.113.1"), 0],
      ["192.0.2.1", address("10.1.0.5"), 6000, address("203.0.113.21"), 1],
      ["192.0.2.2", address("10.0.0.1"), 5000, address("203.0.113.1"), 0],
      ["203.0.113.1", address("10.0.0.80"), 443, address("203.0.113.1"), 1],
    ].toSorted(),
  );
  const ports = flows.filter((flow) => flow["nat.inside_port"] === 5000).map((flow) => flow["nat.outside_port"]);
  expect(ports[0]).toBe(ports[1]);
});

it("goes on with the same mappings after a fault, and with the next generation", () => {
  const portsOf = ({ flows }: Replayed) =>
    flows.map((flow) => [flow.dest_ip, flow["nat.inside_port"], flow["nat.outside_port"]]).toSorted();
  const whole = replay(office);
  expect(portsOf(replay(office, "--swap", "3:nat=nat@1.2.0"))).toEqual(portsOf(whole));
  // Frame 3, which is lost, is the answer of a one-to-one session.
  const faulty = replay(office, "--fault", "3:nat");
  expect(faulty.verdicts.map(({ verdict }) => verdict)).toEqual([
    ...["forward", "forward", "fault", "forward", "forward", "forward"],
  ]);
  expect(portsOf(faulty)).toEqual(portsOf(whole));
});

it("has one flow for what is IPv6 on one side and IPv4 on the other, and names the host", () => {
  const steps: readonly Step[] = [
    { port: "lan", line: "tcp [2001:db8:1::5]:5000 > [64:ff9b::c000:201]:80 syn seq 99" },
    { port: "lan", line: "icmp6 2001:db8:1::5 > 64:ff9b::c000:201 echo id 7 seq 1" },
  ];
  const { flows: alone } = replayOf("nat64.yaml", steps);
  const [port, id] = [5000, 7].map((from) => alone.find((flow) => flow.src_port === from)?.["nat.outside_port"]);
  const { flows, events } = replayOf("nat64.yaml", [
    ...steps,
    { port: "wan", line: `tcp 192.0.2.1:80 > 203.0.113.1:${port} syn seq 499 ack 100` },
    { port: "wan", line: `icmp 192.0.2.1 > 203.0.113.1 echo-reply id ${id} seq 1` },
  ]);
  const high = 0x20010db800010000n.toString();
  const inside = { "nat.inside_high": high, "nat.inside_low": 5, "nat.outside_address": address("203.0.113.1") };
  const counts = { packets_to_server: 1, packets_to_client: 1 };
  const ends = { src_ip: "2001:db8:1::5", dest_ip: "64:ff9b::c000:201" };
  expect(flows).toHaveLength(2);
  for (const flow of flows) expect(flow).toMatchObject({ ...ends, ...inside, ...counts });
  expect(flows.map((flow) => flow.reply)).toEqual(
    expect.arrayContaining([{ src_ip: "192.0.2.1", src_port: 80, dest_ip: "203.0.113.1", dest_port: port }]),
  );
  const said = events.map(({ event_type, sluice }) => [event_type, (sluice as { readonly message: string }).message]);
  expect(said).toEqual([
    [
      "log",
      expect.stringMatching(/^block allocated inside=2001:db8:1:0:0:0:0:5 outside=203\.0\.113\.1 ports=\d+-\d+ /),
    ],
    ["log", expect.stringMatching(/^block released inside=2001:db8:1:0:0:0:0:5 /)],
  ]);
});
