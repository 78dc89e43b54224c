// What two lanes hand over to each other, and what they do not.
import { afterEach, describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import type { ChainFunction } from "../support/chain-under-test.ts";
import { TwoLanes } from "../support/two-lanes.ts";

const SHARED = "203.0.113.1";
const HOSTS = Array.from({ length: 32 }, (_, index) => index + 1);
const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);

/** Binds flows to port 53: replies come from 198.51.100.PORT:9 to SHARED:PORT, where PORT is the client's. */
const binding = `
  const flow = packet.flow;
  if (flow !== null && packet.destinationPort == 53)
    outbox.bind4(flow, 0xc6336400 + packet.sourcePort, 9, 0xcb007101, packet.sourcePort);`;
const binder: ChainFunction = { before: 'import { outbox } from "sluice/sdk";', each: binding };

describe("two lanes", () => {
  let lanes: TwoLanes | undefined;
  afterEach(() => {
    lanes?.close();
    lanes = undefined;
  });

  it("know whose replies are, though the flow stayed when its lane became one of two", async () => {
    lanes = await TwoLanes.open(binder, { spread: 1 });
    const calls = HOSTS.map((host) => `udp 10.0.0.${host}:${host} > 192.0.2.1:53`);
    const replies = HOSTS.map((host) => `udp 198.51.100.${host}:9 > ${SHARED}:${host}`);
    lanes.inject(0, "in", calls.map(encodePacket));
    lanes.turn();
    expect(lanes.flows.map(({ live }) => live)).toEqual([HOSTS.length, 0]);
    for (const [spread, isSpread] of [
      [2, true],
      [1, false],
      [2, true],
    ] as const) {
      lanes.spreadOver(spread);
      lanes.turn(2);
      const live = lanes.flows.map((each) => each.live);
      expect(live.every((count) => count > 0)).toBe(isSpread);
      const started = total(lanes.flows.map((each) => each.started));
      for (const line of [...calls, ...replies]) {
        lanes.inject(0, line.startsWith("udp 10.") ? "in" : "out", [encodePacket(line)]);
        lanes.turn(4);
      }
      expect(total(lanes.flows.map((each) => each.started))).toBe(started);
      expect(total(lanes.flows.map((each) => each.live))).toBe(HOSTS.length);
    }
  });

  it("pass a turned frame on to each other once, though they do not agree whose it is", async () => {
    const turning = { ...binder, each: `${binding} packet.transmit(1);` };
    const rest = `flows: { spread: { hosts: [10.0.0.0/8], shared: [${SHARED}] } }`;
    lanes = await TwoLanes.open(turning, { rest });
    // The port is the first lane's, the flow the second one's.
    const { laneOf } = lanes;
    const host = HOSTS.find((each) => laneOf.call(lanes, `udp 10.0.0.${each}:7 > 192.0.2.1:53`) === 1);
    lanes.inject(0, "in", [encodePacket(`udp 10.0.0.${host}:7 > 192.0.2.1:53`)]);
    lanes.turn();
    expect(lanes.sent("out")).toHaveLength(1);
    const reply = `udp 198.51.100.7:9 > ${SHARED}:7`;
    expect(lanes.laneOf(reply)).toBe(1);
    lanes.inject(0, "out", [encodePacket(reply)]);
    lanes.turn();
    expect(lanes.sent("out")).toEqual([reply]);
  });

  it("are found for a packet to a port's own address that hosts share", async () => {
    const routes = `ports:
  in: { mac: "02:00:00:00:01:00", addresses: [10.0.0.254/24] }
  out: { mac: "02:00:00:00:02:00", addresses: [${SHARED}/24] }
`;
    lanes = await TwoLanes.open({}, { routes, rest: "flows: { spread: { hosts: [10.0.0.0/8], sharedOf: [out] } }" });
    lanes.turn();
    const ports = [0, 63, 64, 128, 192, 4096, 4160];
    const found = HOSTS.map((peer) => ports.map((port) => lanes?.laneOf(`udp 192.0.2.${peer}:9 > ${SHARED}:${port}`)));
    expect(found).toEqual(HOSTS.map(() => ports.map((port) => (port >> 6) % 2)));
  });
});
