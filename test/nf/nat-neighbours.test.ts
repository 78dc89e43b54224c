// chains/nat.yaml on captures: questions for outside addresses, and the link addresses that frames leave with.
import { join } from "node:path";
import { expect, it } from "vitest";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { replayLines, type Step } from "../support/replayed-lines.ts";
import { projectRoot } from "../support/run-sluice.ts";

const chain = join(projectRoot, "chains/nat.yaml");
const ROUTER = "02:00:00:00:00:fe";
const HOST = "02:00:00:00:00:05";
const SERVER = "02:00:00:00:00:80";
/** Of the ports: a replay's have no device. */
const [LAN, WAN] = ["02:53:4c:00:00:00", "02:53:4c:00:00:01"];

const asks = (address: string): Step => ({
  port: "wan",
  line: `ether ${ROUTER} > ff:ff:ff:ff:ff:ff arp who-has ${address} tell 203.0.113.254 sha ${ROUTER}`,
});

const steps: readonly Step[] = [
  asks("203.0.113.1"),
  asks("203.0.113.2"),
  { port: "wan", line: `ether ${ROUTER} > ${WAN} tcp 192.0.2.7:7000 > 203.0.113.1:443 syn seq 9` },
  { port: "lan", line: `ether ${SERVER} > ${LAN} arp reply 10.0.0.80 to 0.0.0.0 sha ${SERVER} tha ${LAN}` },
  { port: "lan", line: `ether ${SERVER} > ${ROUTER} tcp 10.0.0.80:443 > 192.0.2.7:7000 syn seq 19 ack 10` },
  { port: "lan", line: `ether ${HOST} > ${ROUTER} tcp 10.0.0.5:6000 > 203.0.113.1:443 syn seq 99` },
  { port: "wan", line: `ether ${ROUTER} > ${WAN} udp 192.0.2.7:1 > 203.0.113.18:9` },
];

it("answers, finds the server and brings hosts together: verdicts, frames, numbers", () => {
  const { verdicts, frames, stats } = replayLines(chain, steps);
  expect(verdicts.map(({ verdict, to, reason }) => [verdict, to ?? reason])).toEqual([
    ["consume", "answered"],
    ["forward", "lan"],
    ["forward", "lan"],
    ["consume", "resolved"],
    ["forward", "wan"],
    ["forward", "lan"],
    ["drop", "neighbour-unknown"],
  ]);
  const line = (text: string) => formatPacket(encodePacket(text));
  const answer = line(
    `ether ${WAN} > ${ROUTER} arp reply 203.0.113.1 to 203.0.113.254 sha ${WAN} tha ${ROUTER} pad 60`,
  );
  const [said, translated] = frames("wan");
  expect(said).toBe(answer);
  expect(translated).toContain(`ether ${SERVER} > ${ROUTER} tcp 203.0.113.1:443 > 192.0.2.7:7000`);
  const [passed, question, opened, turned] = frames("lan");
  expect(passed).toBe(line(asks("203.0.113.2").line));
  expect(question).toBe(line(`ether ${LAN} > ff:ff:ff:ff:ff:ff arp who-has 10.0.0.80 tell 0.0.0.0 sha ${LAN} pad 60`));
  expect(opened).toContain(`ether ${LAN} > ${SERVER} tcp 192.0.2.7:7000 > 10.0.0.80:443`);
  expect(turned).toMatch(new RegExp(`^ether ${LAN} > ${SERVER} tcp 203\\.0\\.113\\.1:\\d+ > 10\\.0\\.0\\.80:443`));
  expect(stats).toMatchObject({
    neighbours: { answered: 1 },
    consumed: { lan: 1, wan: 1 },
    dropped: { "neighbour-unknown": 1 },
  });
});

it("says the same twice, and of several lanes", () => {
  const whole = replayLines(chain, steps);
  expect(replayLines(chain, steps).frames("lan")).toEqual(whole.frames("lan"));
  const several = replayLines(chain, steps, "--lanes", "3");
  expect(several.verdicts.map(({ verdict, reason }) => [verdict, reason])).toEqual(
    whole.verdicts.map(({ verdict, reason }) => [verdict, reason]),
  );
  expect(several.stats.neighbours).toEqual(whole.stats.neighbours);
});

it("goes on with what it knows after a fault, and with the next generation", () => {
  const whole = replayLines(chain, steps);
  const swapped = replayLines(chain, steps, "--swap", "5:nat=nat@1");
  expect(swapped.frames("lan")).toEqual(whole.frames("lan"));
  expect(swapped.verdicts).toEqual(whole.verdicts);
});
