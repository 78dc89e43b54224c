import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { buildFunction } from "../../runtime/function/build.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { encodePcap } from "../support/capture.ts";
import { runSluice } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const source = `import { batch, Label } from "sluice/sdk";
export { nf_abi } from "sluice/sdk/exports";
const suspect = new Label("suspect");
export function nf_configure(json: string): bool { return true; }
export function nf_process(): void {
  for (let i = 0; i < batch.count; i++) {
    const packet = batch.packet(i);
    const flow = packet.flow;
    if (packet.destinationPort == 666 && flow !== null) suspect.set(flow);
  }
}
`;
const manifest = { name: "marker", version: "1.0.0", abi: 1, description: "Labels.", frames: "read", memoryPages: 4 };
const chain = `chain: labels
ports: { in: { driver: pcap }, out: { driver: pcap }, scrub: { driver: pcap } }
functions: { marker: { use: marker@1 } }
paths:
  - { from: in, match: { labels: [suspect] }, to: scrub }
  - { from: in, through: [marker], to: out }
`;

it("a label that a function sets steers the flow's later packets to another path, and no other flow's", async () => {
  const folder = makeFolder({
    "functions/marker/index.ts": source,
    "functions/marker/manifest.json": JSON.stringify({ ...manifest, labels: ["suspect"] }),
    "chain.yaml": chain,
  });
  await buildFunction(join(folder, "functions/marker"), join(folder, "functions/marker/build"));
  const bad = "udp 10.0.0.1:5 > 10.0.0.2:666";
  const good = "udp 10.0.0.1:5 > 10.0.0.2:53";
  const lines = [bad, good, bad, good, "udp 10.0.0.2:666 > 10.0.0.1:5"];
  const packets = lines.map((line, index) => ({
    bytes: encodePacket(line),
    timeNs: BigInt(index + 1) * 1_000_000_000n,
  }));
  writeFileSync(join(folder, "in.pcap"), encodePcap(packets));
  const run = runSluice([
    ...["replay", join(folder, "chain.yaml"), "--functions", join(folder, "functions")],
    ...["--in", `in=${join(folder, "in.pcap")}`, "--out", join(folder, "out")],
  ]);
  expect(run).toMatchObject({ status: 0, stderr: "" });
  const verdicts = readFileSync(join(folder, "out/verdicts.jsonl"), "utf8").trimEnd().split("\n");
  expect(verdicts.map((line) => JSON.parse(line).to)).toEqual(["out", "out", "scrub", "out", "scrub"]);
  const flows = readFileSync(join(folder, "out/flows.jsonl"), "utf8").trimEnd().split("\n");
  expect(flows.map((line) => JSON.parse(line)).map((flow) => [flow.dest_port, flow.labels])).toEqual(
    expect.arrayContaining([
      [666, ["suspect"]],
      [53, undefined],
    ]),
  );
});
