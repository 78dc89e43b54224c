import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { afxdpObstacle, type Bridge, createBridge, exchange, Harness, steeringProgram } from "../support/afxdp.ts";

const obstacle = afxdpObstacle();
const MODES = ["copy", "generic"] as const;
const [ENODEV, EBUSY, EINVAL, EOPNOTSUPP] = [19, 16, 22, 95];

describe.skipIf(obstacle !== null)(`an AF_XDP port${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let bridge: Bridge;
  beforeEach(async () => {
    bridge = await createBridge();
  });
  afterEach(() => bridge.network.close());

  const hasProgram = async (device: string) =>
    (await bridge.engine.run("ip", "link", "show", "dev", device)).stdout.includes("prog/xdp");

  const intact = (slots: number) => ({
    free: slots,
    fill: 0,
    lane: 0,
    transmit: 0,
    doubleFrees: 0,
    stackAgrees: true,
  });

  it("takes the best mode that works and says why the better one does not", async () => {
    const [harness, start] = await Harness.start(bridge.engine, "auto");
    expect(start).toEqual({
      mode: "copy",
      refused: [{ mode: "zero-copy", call: "bind(AF_XDP)", code: EOPNOTSUPP }],
    });
    await harness.stop();
  });

  it("does not fall back from a mode that was asked for", async () => {
    expect(await Harness.failure(bridge.engine, "zero-copy", "lan0", "wan0")).toMatchObject({
      call: "bind(AF_XDP)",
      subject: "lan0 queue 0",
      code: EOPNOTSUPP,
    });
  });

  it.each(MODES)("forwards 100 000 frames unchanged and loses no slot (%s)", async (mode) => {
    const [harness] = await Harness.start(bridge.engine, mode);
    expect(await exchange(bridge.office, bridge.internet, 100_000, 64)).toEqual({
      sent: 100_000,
      received: 100_000,
      corrupt: 0,
    });
    const { ports, open, closed, slots } = await harness.stop();
    expect(ports[0]).toMatchObject({ received: 100_000, redirected: 100_000, receiveDropped: 0, transmitted: 0 });
    expect(ports[1]).toMatchObject({ transmitted: 100_000, transmitDropped: 0, received: 0 });
    expect(open.free + open.fill + open.lane + open.transmit).toBe(slots);
    expect(open).toMatchObject({ lane: 0, transmit: 0, doubleFrees: 0, stackAgrees: true });
    expect(closed).toEqual(intact(slots));
  });

  it("forwards in both directions at once", async () => {
    const [harness] = await Harness.start(bridge.engine, "auto");
    const both = await Promise.all([
      exchange(bridge.office, bridge.internet, 20_000, 32),
      exchange(bridge.internet, bridge.office, 20_000, 32),
    ]);
    for (const one of both) expect(one).toEqual({ sent: 20_000, received: 20_000, corrupt: 0 });
    const { closed, slots } = await harness.stop();
    expect(closed).toEqual(intact(slots));
  });

  it.each(MODES)("counts what a flood makes it lose, and loses no slot (%s)", async (mode) => {
    const [harness] = await Harness.start(bridge.engine, mode);
    const { sent, corrupt } = await exchange(bridge.office, bridge.internet, 200_000, 200_000);
    await pause(200);
    const { ports, closed, slots } = await harness.stop();
    expect(corrupt).toBe(0);
    expect(ports[0].received + ports[0].receiveDropped).toBe(ports[0].redirected);
    expect(ports[0].redirected).toBeLessThanOrEqual(sent);
    expect(closed).toEqual(intact(slots));
  });

  it.each(MODES)("survives that its device is deleted under traffic, and does not spin (%s)", async (mode) => {
    const [harness] = await Harness.start(bridge.engine, mode);
    const traffic = exchange(bridge.office, bridge.internet, 1_000_000, 256);
    await pause(100);
    await bridge.engine.run("ip", "link", "delete", "wan0");
    // Its peer went with it, so the exchange ends when its patience does.
    await traffic.catch(() => undefined);
    const { ports, closed, slots } = await harness.stop();
    expect(ports.map((port) => port.gone)).toEqual([false, true]);
    expect(ports[1].transmitted).toBeGreaterThan(0);
    expect(closed).toEqual(intact(slots));
  });

  it("notices while idle that its device is gone", async () => {
    const [harness] = await Harness.start(bridge.engine, "auto");
    await bridge.engine.run("ip", "link", "delete", "lan0");
    await pause(500);
    const { ports, idleTurns } = await harness.stop();
    expect(ports.map((port) => port.gone)).toEqual([true, false]);
    expect(idleTurns).toBeLessThan(100);
  });

  it("goes on when its device was down for a while", async () => {
    const [harness] = await Harness.start(bridge.engine, "auto");
    await bridge.engine.run("ip", "link", "set", "dev", "wan0", "down");
    await exchange(bridge.office, bridge.internet, 100, 100);
    await bridge.engine.run("ip", "link", "set", "dev", "wan0", "up");
    await pause(200);
    expect(await exchange(bridge.internet, bridge.office, 1000, 32)).toMatchObject({ received: 1000 });
    const { ports, closed, slots } = await harness.stop();
    expect(ports.map((port) => port.gone)).toEqual([false, false]);
    expect(closed).toEqual(intact(slots));
  });

  it("leaves no program attached, neither by its end nor by kill -9, and the queue is free again", async () => {
    const [first] = await Harness.start(bridge.engine, "copy");
    expect([await hasProgram("lan0"), await hasProgram("wan0")]).toEqual([true, true]);
    await first.kill();
    expect([await hasProgram("lan0"), await hasProgram("wan0")]).toEqual([false, false]);
    const [second] = await Harness.start(bridge.engine, "generic");
    expect(await hasProgram("lan0")).toBe(true);
    await second.stop();
    const [third] = await Harness.start(bridge.engine, "copy");
    await third.stop();
  });

  it("says that a queue is taken, by itself or by another process", async () => {
    expect(await Harness.failure(bridge.engine, "auto", "lan0", "lan0")).toMatchObject({ code: EBUSY });
    const [harness] = await Harness.start(bridge.engine, "auto");
    expect(await Harness.failure(bridge.engine, "auto", "wan0", "lan0")).toMatchObject({
      subject: "wan0 queue 0",
      code: EBUSY,
    });
    await harness.stop();
  });

  it("runs two queues of one device with one program", async () => {
    const { network, engine, internet } = bridge;
    const ends = { namespace: internet, device: "eth1" };
    await network.link({ namespace: engine, device: "dmz0" }, ends, { queues: 2 });
    const harness = new Harness(engine, ["auto", "dmz0:0", "dmz0:1"]);
    expect(await harness.next()).toMatchObject({ mode: "copy" });
    expect(await hasProgram("dmz0")).toBe(true);
    const { closed, slots } = await harness.stop();
    expect(closed).toEqual(intact(slots));
    expect(await hasProgram("dmz0")).toBe(false);
  });

  it.each([
    ["xdpdrv", "auto"],
    ["xdpdrv", "generic"],
    ["xdpgeneric", "auto"],
    ["xdpgeneric", "copy"],
  ])("leaves a device alone that has somebody else's program (%s, asked for %s)", async (hook, mode) => {
    await bridge.engine.run("ip", "link", "set", "dev", "lan0", hook, "object", steeringProgram, "section", "xdp");
    expect(await Harness.failure(bridge.engine, mode, "lan0", "wan0")).toMatchObject({
      call: "bpf_link_create",
      code: EBUSY,
    });
    expect(await hasProgram("lan0")).toBe(true);
  });

  it("names a device or a queue that does not exist", async () => {
    expect(await Harness.failure(bridge.engine, "auto", "lan0", "nowhere")).toMatchObject({
      subject: "nowhere",
      code: ENODEV,
    });
    expect(await Harness.failure(bridge.engine, "auto", "lan0:5", "wan0")).toMatchObject({
      subject: "lan0 queue 5",
      code: EINVAL,
      detail: "the device has no such queue",
    });
  });

  it("leaves to the kernel what it is told to", async () => {
    await bridge.engine.run("ip", "address", "add", "10.9.0.1/24", "dev", "lan0");
    await bridge.office.run("ip", "address", "add", "10.9.0.2/24", "dev", "eth0");
    const [harness] = await Harness.start(bridge.engine, "auto", "ether:2054", "ip:1");
    await bridge.office.run("ping", "-c", "3", "-i", "0.05", "-W", "1", "10.9.0.1");
    await exchange(bridge.office, bridge.internet, 10, 1);
    const { ports } = await harness.stop();
    expect(ports[0].left).toBeGreaterThanOrEqual(4);
    expect(ports[0]).toMatchObject({ redirected: 10, unclaimed: 0 });
  });
});
