// An office and an internet with a box between them that runs nfs/nat as a bridge: what the office sends to its router
// goes straight to the server's card, and what the server sends to the outside address to the office's.
//
//   inside 10.0.0.1, fd00:1::1 ── lan0 box wan0 ── outside 192.0.2.1, 192.0.2.2, 2001:db8:9::1
//                                     203.0.113.1, 2001:db8:f::1
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

const INSIDE_MAC = "02:00:00:00:00:01";
const OUTSIDE_MAC = "02:00:00:00:00:02";

export async function createTranslatedNetwork(): Promise<TranslatedNetwork> {
  const network = await createNetwork();
  const [inside, outside, box] = await Promise.all(["inside", "outside", "box"].map((name) => network.namespace(name)));
  if (inside === undefined || outside === undefined || box === undefined) throw new Error("no namespaces");
  await network.link(
    { namespace: inside, device: "eth0", addresses: ["10.0.0.1/24", "fd00:1::1/64"], macAddress: INSIDE_MAC },
    { namespace: box, device: "lan0" },
  );
  await network.link(
    {
      namespace: outside,
      device: "eth0",
      addresses: ["192.0.2.1/24", "192.0.2.2/24", "2001:db8:9::1/64"],
      macAddress: OUTSIDE_MAC,
    },
    { namespace: box, device: "wan0" },
  );
  await leadTo(inside, "10.0.0.254", OUTSIDE_MAC);
  await inside.run("ip", "route", "add", "default", "via", "10.0.0.254");
  await leadTo(outside, "192.0.2.254", INSIDE_MAC);
  await outside.run("ip", "route", "add", "203.0.113.0/24", "via", "192.0.2.254");
  await leadTo(inside, "fd00:1::fe", OUTSIDE_MAC);
  await inside.run("ip", "route", "add", "default", "via", "fd00:1::fe");
  await leadTo(outside, "2001:db8:9::fe", INSIDE_MAC);
  await outside.run("ip", "route", "add", "2001:db8:f::/64", "via", "2001:db8:9::fe");
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
    await upgrade(engine, "run", "--use", "nat=nat@1.1.0");
  };
  const close = async () => {
    rmSync(folder, { recursive: true });
    await stop().finally(() => network.close());
  };
  return { inside, outside, run, change, close };
}

async function leadTo(namespace: Namespace, router: string, mac: string): Promise<void> {
  await namespace.run("ip", "neighbour", "replace", router, "lladdr", mac, "dev", "eth0", "nud", "permanent");
}

const describe = (config: object) => ({
  chain: "translated",
  ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
  functions: { nat: { use: "nat@1", config: { outside: ["wan"], ...config } } },
  paths: [
    { from: "lan", through: ["nat"], to: "wan" },
    { from: "wan", through: ["nat"], to: "lan" },
  ],
});
