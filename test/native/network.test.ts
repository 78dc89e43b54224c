import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createNetwork, networkObstacle } from "../../runtime/testing/network.ts";

const obstacle = networkObstacle();
const networkFile = new URL("../../runtime/testing/network.ts", import.meta.url).href;

const namespacesOf = (pid: number | undefined): string[] =>
  existsSync("/run/netns") ? readdirSync("/run/netns").filter((name) => name.startsWith(`sluice-${pid}-`)) : [];

/** Another process with a network of one namespace. */
async function startOwner() {
  const script = `
    import { createNetwork } from "${networkFile}";
    await (await createNetwork()).namespace("alone");
    console.log("ready");
    setInterval(() => {}, 1000);
  `;
  const args = ["--input-type=module", "--eval", script];
  const owner = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(owner.stdout, "data");
  return owner;
}

describe.skipIf(obstacle !== null)(`a test network${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  it("joins namespaces, whose traffic can be captured", async () => {
    const network = await createNetwork();
    const [left, right] = [await network.namespace("left"), await network.namespace("right")];
    await network.link(
      { namespace: left, device: "eth0", addresses: ["10.1.0.1/24", "fd00:1::1/64"] },
      { namespace: right, device: "eth0", addresses: ["10.1.0.2/24", "fd00:1::2/64"], macAddress: "02:00:00:00:00:02" },
    );
    const capture = await right.capture("eth0", "icmp", "in");
    await left.run("ping", "-c", "1", "-W", "5", "10.1.0.2");
    await left.run("ping", "-c", "1", "-W", "5", "fd00:1::2");
    const frames = await capture.stop();
    await network.close();
    expect(frames.map((frame) => frame.subarray(0, 6).toString("hex"))).toEqual(["020000000002"]);
    expect(namespacesOf(process.pid)).toEqual([]);
  });

  it("passes on how a command failed", async () => {
    const network = await createNetwork();
    const alone = await network.namespace("alone");
    await expect(alone.run("false")).rejects.toMatchObject({ code: 1 });
    await network.close();
  });

  it.each(["SIGINT", "SIGTERM"] as const)("goes with its process on %s", async (signal) => {
    const owner = await startOwner();
    expect(namespacesOf(owner.pid)).toHaveLength(1);
    owner.kill(signal);
    const [, endedBy] = await once(owner, "exit");
    expect(endedBy).toBe(signal);
    expect(namespacesOf(owner.pid)).toEqual([]);
  });

  it("is removed by the next one if its process was killed", async () => {
    const owner = await startOwner();
    owner.kill("SIGKILL");
    await once(owner, "exit");
    expect(namespacesOf(owner.pid)).toHaveLength(1);
    await (await createNetwork()).close();
    expect(namespacesOf(owner.pid)).toEqual([]);
  });
});
