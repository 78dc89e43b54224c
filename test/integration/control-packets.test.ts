// Trace and capture over the API.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TraceEvent } from "../../runtime/dataplane/observe/trace-events.ts";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { RunningBox } from "../support/running-box.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const obstacle = networkObstacle();

const edge = {
  chain: "edge",
  ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
  functions: {
    fw: {
      use: "acl@1",
      config: { default: "permit", rules: [{ action: "deny", ipProtos: ["udp"], destinationPorts: [9] }] },
    },
  },
  paths: [
    { from: "lan", through: ["fw"], to: "wan" },
    { from: "wan", through: ["fw"], to: "lan" },
  ],
};

describe.skipIf(obstacle !== null)(`packets over the API${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let between: BoxBetween;
  let box: RunningBox;

  beforeEach(async () => {
    between = await createBoxBetween();
    box = await RunningBox.start(between.box);
    await box.put("edge", edge);
  });

  afterEach(async () => {
    await box?.dispose();
    await between?.close();
  });

  it("are traced: given ones on a copy of the state, and those that come", async () => {
    const hex = Buffer.from(encodePacket("udp 10.9.0.1:5000 > 10.9.0.2:9")).toString("hex");
    const path = "/api/v1/chains/edge/trace";
    const given = await box.client.call<TraceEvent[]>(path, { query: { hex, ports: "lan" } });
    expect(given.map(({ kind }) => kind)).toEqual(["following", "packet", "end"]);
    expect(given[1]).toMatchObject({ end: { kind: "drop", function: "fw", reason: "rule:1" } });
    const posted = await box.client.call<TraceEvent[]>(path, {
      method: "POST",
      body: { frames: [{ port: "wan", hex }] },
    });
    expect(posted[1]).toMatchObject({ port: "wan", end: { kind: "drop" } });

    const pings = between.startPings();
    const query = { match: "{ ipProtos: [icmp] }", ports: "lan", count: 2 };
    const live = await box.client.call<TraceEvent[]>(path, { query });
    expect(live.filter(({ kind }) => kind === "packet")).toMatchObject([
      { port: "lan", end: { kind: "forward", to: "wan" }, live: { kind: "forward", to: "wan" } },
      { port: "lan" },
    ]);
    const stream = await box.client.open(path, { query, headers: { accept: "text/event-stream" } });
    expect(stream.headers["content-type"]).toContain("text/event-stream");
    const text = await readUntil(stream, "event: end");
    expect(text.match(/^event: packet$/gm)).toHaveLength(2);
    expect(await pings.stop()).toBe(0);
  });

  it("are captured as pcapng, as tcpdump reads it", async () => {
    const pings = between.startPings();
    const query = { ports: "lan", direction: "in", count: 5 };
    const file = join(makeFolder(), "capture.pcapng");
    writeFileSync(file, await buffer(await box.client.open("/api/v1/chains/edge/capture", { query })));
    expect(await pings.stop()).toBe(0);
    const lines = execFileSync("tcpdump", ["-nr", file], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    expect(lines.match(/10\.9\.0\.1 > 10\.9\.0\.2: ICMP echo request/g)).toHaveLength(5);
  });

  it("are refused to viewers", async () => {
    const { token } = await box.client.call<{ token: string }>("/api/v1/tokens/eve", {
      method: "PUT",
      body: { role: "viewer" },
    });
    const headers = { authorization: `Bearer ${token}` };
    for (const what of ["trace", "capture"]) {
      await expect(box.client.call(`/api/v1/chains/edge/${what}`, { headers })).rejects.toMatchObject({
        code: "forbidden",
      });
    }
  });
});

async function readUntil(stream: AsyncIterable<Buffer>, word: string): Promise<string> {
  let text = "";
  for await (const chunk of stream) {
    text += chunk.toString();
    if (text.includes(word)) break;
  }
  return text;
}
