// Flows that go on while control is killed, stopped and started again, as nfcapd adds them up.
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { Nfcapd, nfcapdObstacle } from "../support/nfcapd.ts";
import { RunningBox } from "../support/running-box.ts";

const obstacle = networkObstacle() ?? nfcapdObstacle();

describe.skipIf(obstacle !== null)(
  `flows over restarts of control${obstacle === null ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    let between: BoxBetween;
    let box: RunningBox;
    let collector: Nfcapd;

    beforeEach(async () => {
      between = await createBoxBetween();
      box = await RunningBox.start(between.box);
      collector = await Nfcapd.start();
    });
    afterEach(async () => {
      await collector?.stop();
      await box?.dispose();
      await between?.close();
    });

    const edge = () => ({
      chain: "edge",
      ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
      paths: [
        { from: "lan", through: [], to: "wan" },
        { from: "wan", through: [], to: "lan" },
      ],
      flows: { timeouts: { icmp: { unreplied: 1, replied: 1 } } },
      telemetry: { ipfix: { collector: `127.0.0.1:${collector.port}`, activeTimeoutS: 1 } },
    });
    const ifindexOf = async (device: string) =>
      Number((await between.box.run("cat", `/sys/class/net/${device}/ifindex`)).stdout);

    it("are counted once, those that end while there is no control included", async () => {
      await box.put("edge", edge());
      const long = between.left.run("ping", "-i", "0.02", "-c", "400", "10.9.0.2");
      await sleep(2500);
      await box.killControl();
      const short = await between.left.run("ping", "-i", "0.01", "-c", "7", "-s", "1000", "10.9.0.2");
      await sleep(2500);
      await box.startControl();
      const { stdout } = await long;
      expect(stdout).toContain("400 packets transmitted, 400 received");
      expect(short.stdout).toContain("7 packets transmitted, 7 received");
      await sleep(4000);
      const received = (await collector.read()).filter(({ proto }) => proto === 1);
      const sums = new Map<string, number[]>();
      for (const { in_packets, in_bytes, out_packets = 0, out_bytes = 0 } of received) {
        const key = in_bytes / in_packets > 500 ? "short" : "long";
        const before = sums.get(key) ?? [0, 0, 0, 0];
        const counts = [in_packets, in_bytes, out_packets, out_bytes];
        sums.set(
          key,
          counts.map((count, index) => count + (before[index] as number)),
        );
      }
      expect(sums.get("short")).toEqual([7, 7 * 1042, 7, 7 * 1042]);
      expect(sums.get("long")).toEqual([400, 400 * 98, 400, 400 * 98]);
      // Some before and some after.
      expect(received.length).toBeGreaterThan(4);
      const [lan, wan] = [await ifindexOf("lan0"), await ifindexOf("wan0")];
      expect(received.every(({ input_snmp, output_snmp }) => input_snmp === lan && output_snmp === wan)).toBe(true);
    });
  },
);
