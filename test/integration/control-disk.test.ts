// A disk that is full, or cannot be written: clear errors, traffic goes on, and nothing is lost.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { eventually, RunningBox } from "../support/running-box.ts";

const obstacle = networkObstacle() ?? mountObstacle();

function mountObstacle(): string | null {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", folder], { stdio: "ignore" });
    execFileSync("umount", [folder]);
    return null;
  } catch {
    return "needs to mount a tmpfs";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function edge(description: string) {
  const paths = [
    { from: "lan", through: ["count"], to: "wan" },
    { from: "wan", through: ["count"], to: "lan" },
  ];
  const ports = { lan: { device: "lan0" }, wan: { device: "wan0" } };
  // Another path each time, so that it takes another generation.
  const way = { from: "lan", match: { destinationPorts: [description.length] }, to: "none" };
  return { chain: "edge", description, ports, functions: { count: { use: "hello@1" } }, paths: [way, ...paths] };
}

describe.skipIf(obstacle !== null)(`the disk${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let between: BoxBetween;
  let box: RunningBox;
  let folder: string;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "sluice-test-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "none", folder]);
    between = await createBoxBetween();
    box = await RunningBox.start(between.box, { dataFolder: folder });
    await box.put("edge", edge("1"));
  });

  afterEach(async () => {
    await box?.dispose();
    execFileSync("umount", ["--lazy", folder]);
    rmSync(folder, { recursive: true, force: true });
    await between?.close();
  });

  const fill = () => {
    const left = () => statfsSync(folder).bavail * statfsSync(folder).bsize;
    for (let number = 0; left() > 0; number++) {
      try {
        writeFileSync(join(folder, `filler-${number}`), Buffer.alloc(Math.max(left(), 4096)));
      } catch {
        return;
      }
    }
  };
  const empty = () => execFileSync("sh", ["-c", `rm -f ${folder}/filler-*`]);
  const codeOf = async (work: Promise<unknown>) =>
    work.then(
      () => "ok",
      (error: { code: string }) => error.code,
    );

  it("is full: changes are refused and say why, what runs goes on, and afterwards everything works again", async () => {
    const pings = between.startPings();
    fill();
    const codes = new Set<string>();
    // SQLite may have room left in what it has already.
    for (let length = 2; length < 40; length++) codes.add(await codeOf(box.put("edge", edge("x".repeat(length)))));
    expect([...codes].filter((code) => !["ok", "store-failed", "file-unwritable"].includes(code))).toEqual([]);
    expect(codes).toContain("store-failed");
    const during = await box.get("edge");
    expect(during.status.state).toBe("running");
    empty();
    const after = await eventually("a change is possible again", () => box.put("edge", edge("x".repeat(50))));
    expect(after).toMatchObject({ changed: true, state: "confirmed" });
    expect(after.revision).toBeGreaterThan(during.status.revision);
    await box.killControl();
    await box.startControl();
    expect(await box.get("edge")).toMatchObject({ description: "x".repeat(50), status: { revision: after.revision } });
    expect(await pings.stop()).toBe(0);
  });

  // The kernel lets nobody remount what is open for writing, so it is read-only from a start on.
  it("is read-only: changes are refused, and what was declared is there when it can be written", async () => {
    await box.killControl();
    await box.killDataplane();
    await eventually("nobody has it open", async () => {
      execFileSync("mount", ["-o", "remount,ro", folder], { stdio: "ignore" });
      return true;
    });
    await box.startDataplane();
    await box.startControl();
    expect(await codeOf(box.put("edge", edge("22")))).toBe("store-failed");
    expect(await box.get("edge")).toMatchObject({ description: "1", status: { revision: 1, change: null } });
    execFileSync("mount", ["-o", "remount,rw", folder]);
    await box.killControl();
    // It is in a mount namespace of its own, in which the folder stays what it was.
    await box.killDataplane();
    await box.startDataplane();
    await box.startControl();
    expect(await box.get("edge")).toMatchObject({ description: "1", status: { revision: 1, state: "running" } });
    expect(await between.ping(3)).toBe(3);
    expect(await box.put("edge", edge("22"))).toMatchObject({ changed: true, state: "confirmed" });
  });
});
