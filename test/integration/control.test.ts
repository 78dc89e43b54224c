// Chains declared to a box over its API, with traffic.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SluiceError } from "../../runtime/errors.ts";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { eventually, RunningBox } from "../support/running-box.ts";

const obstacle = networkObstacle();

/** What lets pings pass, or not. */
function edge(pings: "permit" | "deny", more: object = {}) {
  const rules = [{ action: pings, ipProtos: ["icmp"] }];
  return {
    chain: "edge",
    ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
    functions: { fw: { use: "acl@1", config: { default: "permit", rules } } },
    paths: [
      { from: "lan", through: ["fw"], to: "wan" },
      { from: "wan", through: ["fw"], to: "lan" },
    ],
    ...more,
  };
}

async function refusal(work: Promise<unknown>): Promise<SluiceError["faults"]> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof SluiceError) return error.faults;
  throw new Error(`it was not refused: ${error}`);
}

describe.skipIf(obstacle !== null)(`a box${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let between: BoxBetween;
  let box: RunningBox;

  beforeEach(async () => {
    between = await createBoxBetween();
    box = await RunningBox.start(between.box);
  });

  const ping = (count: number) => between.pingQuickly(count);

  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") console.log(box.said);
    await box?.dispose();
    await between?.close();
  });

  it("runs what is declared, says what it did, and does nothing the second time", async () => {
    const planned = await box.put("edge", edge("permit"), { dryRun: true });
    expect(planned).toMatchObject({
      changed: false,
      revision: 0,
      plan: { way: "start", ports: { added: ["lan", "wan"] } },
    });
    expect(await ping(3)).toBe(0);

    const created = await box.put("edge", edge("permit"));
    expect(created).toMatchObject({ created: true, changed: true, revision: 1, state: "confirmed" });
    expect(created.document.functions).toMatchObject({ fw: { use: "acl@1.0.0" } });
    expect(await ping(3)).toBe(3);
    expect(await box.put("edge", edge("permit"))).toMatchObject({ changed: false, revision: 1, plan: { way: "none" } });

    const changed = await box.put("edge", edge("deny"));
    expect(changed).toMatchObject({ created: false, changed: true, revision: 2 });
    expect(changed.plan).toMatchObject({ way: "generation", functions: [{ function: "fw", kind: "configuration" }] });
    expect(changed.plan.flows?.affected).toBeGreaterThan(0);
    expect(await ping(3)).toBe(0);

    const got = await box.get("edge");
    expect(got.status).toMatchObject({ revision: 2, state: "running", change: null });
    expect(await box.put("edge", got)).toMatchObject({ changed: false, revision: 2 });
    const described = await box.put("edge", edge("deny", { description: "the office" }));
    expect(described).toMatchObject({ revision: 3, plan: { way: "settings", settings: ["description"] } });
    expect((await box.get("edge")).status.generation).toBe(got.status.generation);

    await box.client.call("/api/v1/chains/edge", { method: "DELETE" });
    expect(await refusal(box.get("edge"))).toMatchObject([{ code: "not-found" }]);
    expect(await box.put("edge", edge("permit"))).toMatchObject({ created: true, revision: 4 });
  });

  it("goes back in place unless a change is confirmed, also with control killed meanwhile", async () => {
    await box.put("edge", edge("permit"));
    const pending = await box.put("edge", edge("deny"), { confirmWithin: "3s" });
    expect(pending).toMatchObject({ state: "pending", revision: 2 });
    expect(await ping(3)).toBe(0);
    expect((await box.get("edge")).status).toMatchObject({ revision: 1, change: "pending" });
    expect(await refusal(box.put("edge", edge("permit")))).toMatchObject([{ code: "upgrade-state" }]);
    await eventually("pings come back", async () => (await ping(1)) === 1);
    const list = await box.client.call<object[]>("/api/v1/chains/edge/revisions");
    expect(list).toMatchObject([
      { revision: 2, state: "rolled-back", outcome: expect.stringContaining("aborted by deadline") },
      { revision: 1, state: "confirmed" },
    ]);

    await box.put("edge", edge("deny"), { confirmWithin: "3s" });
    await box.killControl();
    expect(await ping(3)).toBe(0);
    await eventually("pings come back", async () => (await ping(1)) === 1);
    await box.startControl();
    expect((await box.get("edge")).status).toMatchObject({ revision: 1, change: null });

    await box.put("edge", edge("deny"), { confirmWithin: "60s" });
    await box.client.call("/api/v1/chains/edge/confirm", { method: "POST" });
    expect((await box.get("edge")).status).toMatchObject({ revision: 4, change: null });
    expect(await refusal(box.client.call("/api/v1/chains/edge/confirm", { method: "POST" }))).toMatchObject([
      { code: "upgrade-state" },
    ]);
    expect(await ping(3)).toBe(0);
  });

  it("gives the traffic back of somebody who locked himself out, with his first chain too", async () => {
    // Without a chain, the box forwards what the management traffic is here.
    await between.box.run("sh", "-c", "ip link add br0 type bridge && ip link set br0 up");
    for (const device of ["lan0", "wan0"]) await between.box.run("ip", "link", "set", device, "master", "br0");
    await eventually("the bridge forwards", async () => (await ping(1)) === 1);
    const cut = edge("deny");
    expect(await box.put("edge", cut, { confirmWithin: "5s" })).toMatchObject({ created: true, state: "pending" });
    expect(await ping(3)).toBe(0);
    await eventually("the bridge forwards again", async () => (await ping(1)) === 1);
    // Its devices are free before its process is gone.
    await eventually("nobody has the chain", () =>
      refusal(box.get("edge")).then(([fault]) => fault?.code === "not-found"),
    );
  });

  it("applies several chains together, or none of them", async () => {
    for (const device of ["lan1", "wan1"]) {
      await between.box.run("ip", "link", "add", device, "type", "veth", "peer", "name", `${device}-peer`);
      for (const end of [device, `${device}-peer`]) await between.box.run("ip", "link", "set", end, "up");
    }
    const west = { ...edge("permit"), chain: "west", ports: { lan: { device: "lan1" }, wan: { device: "wan1" } } };
    const put = (chains: readonly object[]) => box.client.call("/api/v1/chains", { method: "PUT", body: { chains } });
    await put([edge("permit"), west]);
    expect(await ping(3)).toBe(3);

    const broken = { ...west, functions: { fw: { use: "acl@9" } }, paths: [...west.paths, { from: "lam", to: "wan" }] };
    expect(await refusal(put([{ ...edge("deny"), prts: 1 }, broken]))).toMatchObject([
      { code: "unknown-key", pointer: "/chains/0/prts" },
      { code: "function-not-found", pointer: "/chains/1/functions/fw/use" },
      { code: "unknown-port", pointer: "/chains/1/paths/2/from" },
    ]);
    // What only the engine can find.
    const refused = { ...west, ports: { ...west.ports, more: { device: "nowhere0" } } };
    expect(await refusal(put([edge("deny"), refused]))).toMatchObject([{ code: "device-missing" }]);
    expect(await ping(3)).toBe(3);
    expect((await box.get("edge")).status).toMatchObject({ revision: 1, change: null });
    const busy = { ...west, chain: "north" };
    expect(await refusal(put([busy]))).toMatchObject([{ code: "device-busy" }, { code: "device-busy" }]);

    await put([edge("deny"), { ...west, description: "changed" }]);
    expect(await ping(3)).toBe(0);
    const [first, second] = await Promise.all(
      ["edge", "west"].map((name) => box.client.call<{ change: number }[]>(`/api/v1/chains/${name}/revisions`)),
    );
    expect(first?.[0]?.change).toBe(second?.[0]?.change);
  });

  it("decides by the revision that whoever asks has seen, and goes back to any", async () => {
    const { revision } = await box.put("edge", edge("permit"));
    const etag = `"edge-${revision}"`;
    const put = (headers: Record<string, string>) =>
      box.client.call("/api/v1/chains/edge", { method: "PUT", body: edge("deny"), headers });
    expect(await refusal(put({ "if-none-match": "*" }))).toMatchObject([{ code: "revision-conflict" }]);
    expect(await refusal(put({ "if-match": '"edge-7"' }))).toMatchObject([{ code: "revision-conflict" }]);
    await put({ "if-match": etag });
    expect(await refusal(put({ "if-match": etag }))).toMatchObject([{ code: "revision-conflict" }]);
    expect(await ping(3)).toBe(0);
    const back = await box.client.call<object[]>("/api/v1/chains/edge/rollback", { method: "POST", body: {} });
    expect(back).toMatchObject([{ revision: 3, changed: true }]);
    expect(await ping(3)).toBe(3);
    await box.client.call("/api/v1/chains/edge/rollback", { method: "POST", body: { revision: 2 } });
    expect(await ping(3)).toBe(0);
    const diff = await box.client.call<{ diff: string }>("/api/v1/chains/edge/revisions/4", { query: { against: 3 } });
    expect(diff.diff).toContain("-        - action: permit");
  });

  it("takes a change step by step, and takes notice of one that is made at the engine", async () => {
    await box.put("edge", edge("permit"));
    const step = (name: string, body: object = {}) =>
      box.client.call<{ state: string }>(`/api/v1/chains/edge/upgrade${name}`, { method: "POST", body });
    expect(await step("", { document: edge("deny") })).toMatchObject({ state: "loaded" });
    expect((await box.get("edge")).status).toMatchObject({ revision: 1, change: "loaded" });
    expect(await step("/switchover")).toMatchObject({ state: "switched" });
    expect(await ping(3)).toBe(0);
    expect(await step("/abort")).toMatchObject({ state: "aborted" });
    expect(await ping(3)).toBe(3);
    await step("", { document: edge("deny") });
    await step("/switchover");
    expect(await step("/commit")).toMatchObject({ state: "committed" });
    expect((await box.get("edge")).status).toMatchObject({ revision: 3, change: null });
    const history = await box.client.call<{ state: string; actor: string }[]>("/api/v1/chains/edge/upgrade/history");
    expect(history.at(-1)).toMatchObject({ state: "committed", actor: "admin" });

    const direct = await box.run("upgrade", "run", "--set", "fw.rules=[{action: permit}]", "--json");
    expect(direct).toMatchObject({ status: 0 });
    const seen = await box.get("edge");
    expect(seen.status).toMatchObject({ revision: 4, change: null });
    expect(seen.functions?.fw?.config).toMatchObject({ rules: [{ action: "permit" }] });
    await box.killControl();
    await box.startControl();
    expect((await box.get("edge")).status).toMatchObject({ revision: 4, change: null });
    expect(await ping(3)).toBe(3);
  });

  it("stops a chain for what cannot be changed while it runs only if it is told to", async () => {
    await box.put("edge", edge("permit"));
    const larger = edge("permit", { flows: { capacity: 1024 } });
    expect(await box.put("edge", larger, { dryRun: true })).toMatchObject({ plan: { way: "restart" } });
    expect(await refusal(box.put("edge", larger))).toMatchObject([{ code: "change-refused" }]);
    expect(await ping(3)).toBe(3);
    expect(await box.put("edge", larger, { restart: true })).toMatchObject({ revision: 2, changed: true });
    expect(await ping(3)).toBe(3);
    const other = edge("deny", { flows: { capacity: 2048 } });
    expect(await box.put("edge", other, { restart: true, confirmWithin: "3s" })).toMatchObject({ state: "pending" });
    expect(await ping(3)).toBe(0);
    await eventually("pings come back", async () => (await ping(1)) === 1);
    expect((await box.get("edge")).status).toMatchObject({ revision: 2, change: null });
  });

  it("keeps what is confirmed that had to be started or stopped for it, also if its engine dies meanwhile", async () => {
    await box.put("edge", edge("permit"), { confirmWithin: "60s" });
    const confirm = () => box.client.call<object[]>("/api/v1/chains/edge/confirm", { method: "POST" });
    expect(await confirm()).toMatchObject([{ revision: 1, way: "start", state: "confirmed" }]);
    const other = edge("deny", { flows: { capacity: 2048 } });
    await box.put("edge", other, { restart: true, confirmWithin: "60s" });
    process.kill(box.enginePid, "SIGKILL");
    await eventually("it runs again", async () => (await box.get("edge")).status.state === "running");
    expect((await box.get("edge")).status).toMatchObject({ change: "pending" });
    expect(await confirm()).toMatchObject([{ revision: 2, way: "restart", state: "confirmed" }]);
    expect(await ping(3)).toBe(0);
    expect((await box.get("edge")).status).toMatchObject({ revision: 2, change: null });
  });

  it("takes back what was not confirmed when the host was killed", async () => {
    await box.put("edge", edge("permit"), { confirmWithin: "60s" });
    await box.killDataplane();
    await box.get("edge").catch(() => {});
    await box.startDataplane();
    await eventually("it is given up", async () =>
      refusal(box.get("edge")).then(
        ([fault]) => fault?.code === "not-found",
        () => false,
      ),
    );
  });

  it("leaves a change alone that is made at the engine, and one that cannot be committed yet", async () => {
    await box.put("edge", edge("permit"));
    const load = ["upgrade", "load", "--set", "fw.rules=[{action: deny, ipProtos: [icmp]}]"];
    expect(await box.run(...load)).toMatchObject({ status: 0 });
    expect(await refusal(box.put("edge", edge("deny")))).toMatchObject([{ code: "upgrade-state" }]);
    expect((await box.run("upgrade", "status", "--json")).stdout).toContain('"state": "loaded"');
    expect(await box.run("upgrade", "abort")).toMatchObject({ status: 0 });

    const step = (name: string, body: object = {}) =>
      box.client.call<{ state: string }>(`/api/v1/chains/edge/upgrade${name}`, { method: "POST", body });
    await step("", { document: edge("deny") });
    await step("/switchover", { canary: { share: 0.5 } });
    expect(await refusal(step("/commit"))).toMatchObject([{ code: "upgrade-state" }]);
    const dry = box.client.call("/api/v1/chains/edge/rollback", { method: "POST", body: {}, query: { dryRun: true } });
    expect(await refusal(dry)).toMatchObject([{ code: "upgrade-state" }]);
    expect(await box.client.call("/api/v1/chains/edge/upgrade")).toMatchObject({ state: "switched" });
    expect(await step("/abort")).toMatchObject({ state: "aborted" });
  });

  it("keeps trying what cannot start yet, and says why", async () => {
    const missing = { ...edge("permit"), ports: { lan: { device: "lan0" }, wan: { device: "later0" } } };
    expect(await refusal(box.put("edge", missing))).toMatchObject([{ code: "device-missing" }]);
    await box.put("edge", edge("permit"));
    await box.killControl();
    await box.killDataplane();
    await between.box.run("ip", "link", "set", "wan0", "name", "gone0");
    await box.startDataplane();
    await box.startControl();
    expect((await box.get("edge")).status).toMatchObject({ state: "failed", faults: [{ code: "device-missing" }] });
    await between.box.run("sh", "-c", "ip link set gone0 down; ip link set gone0 name wan0; ip link set wan0 up");
    await eventually("it runs", async () => (await box.get("edge")).status.state === "running");
  });
});
