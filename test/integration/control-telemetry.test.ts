// Metrics, alerts and flows of declared chains over the API, and settings that are changed while they run.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { Prometheus, prometheusObstacle } from "../support/prometheus.ts";
import { eventually, RunningBox } from "../support/running-box.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const obstacle = networkObstacle();

function edge(telemetry?: object) {
  const rules = [{ action: "deny", ipProtos: ["icmp"] }];
  return {
    chain: "edge",
    ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
    functions: { fw: { use: "acl@1", config: { default: "permit", rules } } },
    paths: [
      { from: "lan", through: ["fw"], to: "wan" },
      { from: "wan", through: ["fw"], to: "lan" },
    ],
    ...(telemetry !== undefined && { telemetry }),
  };
}

describe.skipIf(obstacle !== null)(
  `telemetry over the API${obstacle === null ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    let between: BoxBetween;
    let box: RunningBox;

    beforeEach(async () => {
      between = await createBoxBetween();
      box = await RunningBox.start(between.box);
      await box.put("edge", edge());
    });

    afterEach(async ({ task }) => {
      if (task.result?.state === "fail") console.log(box.said);
      await box?.dispose();
      await between?.close();
    });

    const metrics = async () => text(await box.client.open("/metrics"));

    it("counts what is dropped, says where the upgrade is, and leaves out what is not asked for", async () => {
      await between.pingQuickly(5);
      const page = await metrics();
      expect(page).toMatch(/^sluice_drops_total\{[^}]*function="fw"[^}]*reason="rule"[^}]*\} 5$/m);
      expect(page).toMatch(/^sluice_upgrade_state\{chain="edge",state="init"\} 1$/m);
      expect(page).toContain("sluice_function_packet_duration_seconds_bucket");
      const before = (await box.get("edge")).status.generation;
      await box.put("edge", edge({ metrics: { histograms: false } }));
      expect((await box.get("edge")).status.generation).toBe(before);
      await eventually("the histograms are gone", async () => !(await metrics()).includes("_duration_seconds_bucket"));
    });

    const missing = prometheusObstacle();
    it.skipIf(missing !== null)(
      `is scraped by Prometheus with a token${missing === null ? "" : ` (skipped: ${missing})`}`,
      async () => {
        await between.pingQuickly(3);
        const port = Number(new URL(box.address).port);
        const prometheus = await Prometheus.start(port, join(box.dataFolder, "token"));
        try {
          const dropped = await prometheus.query('sluice_drops_total{chain="edge",function="fw"} > 0');
          expect(dropped.map(({ value }) => value)).toEqual([3]);
        } finally {
          await prometheus.stop();
        }
      },
    );

    it.skipIf(!existsSync("/usr/bin/promtool"))(
      "writes metrics of which promtool has nothing to say (needs promtool)",
      async () => {
        await between.pingQuickly(2);
        const said = execFileSync("promtool", ["check", "metrics"], { input: await metrics(), encoding: "utf8" });
        expect(said).toBe("");
      },
    );

    it("tells of drops as they happen, and writes them to a log that is declared while it runs", async () => {
      const log = join(makeFolder(), "eve.json");
      await box.put(
        "edge",
        edge({ drops: { sample: 1, perSecond: 1000 }, eve: { file: log, types: ["drop", "flow"] } }),
      );
      const stream = await box.client.open("/api/v1/chains/edge/alerts", { headers: { accept: "text/event-stream" } });
      const told = collect(stream);
      const drops = await eventually("a drop is told", async () => {
        await between.pingQuickly(1);
        return told.text.match(/^event: drop$/gm) !== null && told.text;
      });
      expect(drops).toMatch(/"src_ip":"10\.9\.0\.1"/);
      expect(drops).toMatch(/"reason":"rule:1"/);
      const kept = await box.client.call<{ event_type: string }[]>("/api/v1/chains/edge/alerts");
      expect(kept.at(-1)).toMatchObject({ event_type: "drop", drop: { function: "fw" } });
      const lines = await eventually("the log has it", async () => {
        const found = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
        return found[0] !== undefined && found[0] !== "" && found;
      });
      expect(JSON.parse(lines[0] as string)).toMatchObject({ event_type: "drop" });
      stream.destroy();
    });

    it("streams rates and flows", async () => {
      const headers = { accept: "text/event-stream" };
      const stats = await box.client.open("/api/v1/chains/edge/stats", { headers, query: { interval: 0.2 } });
      const flows = await box.client.open("/api/v1/chains/edge/flows", { headers });
      const [rates, live] = [collect(stats), collect(flows)];
      await eventually("three looks", async () => {
        await between.pingQuickly(1);
        return (rates.text.match(/^event: stats$/gm) ?? []).length >= 3 && /"dest_ip":"10\.9\.0\.2"/.test(live.text);
      });
      const last = JSON.parse((rates.text.match(/^data: (.*)$/gm) as string[]).at(-1)?.slice(6) as string);
      expect(last).toMatchObject({ chain: "edge", hops: [{ function: "fw" }, { function: "fw" }] });
      stats.destroy();
      flows.destroy();
    });
  },
);

function collect(stream: IncomingMessage): { text: string } {
  const collected = { text: "" };
  stream.on("data", (chunk: Buffer) => {
    collected.text += chunk.toString();
  });
  stream.on("error", () => {});
  return collected;
}
