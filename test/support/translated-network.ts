// An office and an internet with a box between them that runs nfs/nat as a bridge and answers for outside addresses. The
// office's router is the server itself.
//
//   inside 10.0.0.1, fd00:1::1 ── lan0 box wan0 ── outside 192.0.2.1, 192.0.2.2, 2001:db8:9::1
//                              203.0.113.0/24, 2001:db8:f::/64
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetwork, type Namespace } from "../../runtime/testing/network.ts";
import { RunningEngine, upgrade } from "./running-engine.ts";

export interface TranslatedNetwork {
  readonly inside: Namespace;
  readonly outside: Namespace;
  /** Runs nat with this configuration (`outside` is said); in place of what ran before. */
  run(config: object): Promise<RunningEngine>;
  /** Another generation of the same. */
  change(): Promise<void>;
  close(): Promise<void>;
}

export async function createTranslatedNetwork(): Promise<TranslatedNetwork> {
  const network = await createNetwork();
  const [inside, outside, box] = await Promise.all(["inside", "outside", "box"].map((name) => network.namespace(name)));
  if (inside === undefined || outside === undefined || box === undefined) throw new Error("no namespaces");
  await network.link(
    { namespace: inside, device: "eth0", addresses: ["10.0.0.1/24", "fd00:1::1/64"] },
    { namespace: box, device: "lan0" },
  );
  await network.link(
    {
      namespace: outside,
      device: "eth0",
      addresses: ["192.0.2.1/24", "192.0.2.2/24", "2001:db8:9::1/64", "fd00:1::fe/128"],
    },
    { namespace: box, device: "wan0" },
  );
  // Not on the device: the server shall not know the office's addresses for neighbours.
  await outside.run("ip", "address", "add", "10.0.0.254/32", "dev", "lo");
  await inside.run("ip", "route", "add", "default", "via", "10.0.0.254");
  await outside.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth0");
  await inside.run("ip", "route", "add", "default", "via", "fd00:1::fe");
  await outside.run("ip", "route", "add", "2001:db8:f::/64", "dev", "eth0");
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-translated-"));
  let engine: RunningEngine | undefined;
  const stop = async () => {
    await engine?.end();
    engine?.dispose();
    engine = undefined;
  };
  const run = async (config: object) => {
    await stop();
    const file = join(folder, "translated.yaml");
    writeFileSync(file, JSON.stringify(describe(config)));
    engine = await RunningEngine.start(box, file);
    return engine;
  };
  const change = async () => {
    if (engine === undefined) throw new Error("nothing runs");
    await upgrade(engine, "run", "--use", "nat=nat@1.2.0");
  };
  const close = async () => {
    rmSync(folder, { recursive: true });
    await stop().finally(() => network.close());
  };
  return { inside, outside, run, change, close };
}

const describe = (config: object) => ({
  chain: "translated",
  ports: { lan: { device: "lan0" }, wan: { device: "wan0", answersFor: ["203.0.113.0/24", "2001:db8:f::/64"] } },
  functions: { nat: { use: "nat@1", config: { outside: ["wan"], ...config } } },
  paths: [
    { from: "lan", through: ["nat"], to: "wan" },
    { from: "wan", through: ["nat"], to: "lan" },
  ],
});
