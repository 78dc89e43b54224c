import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LogFile } from "../../runtime/telemetry/log-file.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const line = (number: number) => `${String(number).padStart(99, "0")}\n`;
const obstacle = process.getuid?.() === 0 ? "" : " (skipped: needs root, for a file system that is full)";

describe("a log", () => {
  it("has what was added, behind what was there", async () => {
    const path = join(makeFolder({ log: "before\n" }), "log");
    const log = new LogFile(path, () => {});
    log.add("one\n");
    log.add("two\n");
    await log.flush();
    log.add("three\n");
    await log.close();
    expect(readFileSync(path, "utf8")).toBe("before\none\ntwo\nthree\n");
    expect([log.written, log.lost]).toEqual([3, 0]);
  });

  it("goes on in a new file when it was moved away", async () => {
    const path = join(makeFolder(), "log");
    const log = new LogFile(path, () => {});
    log.add("one\n");
    await log.flush();
    renameSync(path, `${path}.1`);
    log.add("two\n");
    await log.close();
    expect([readFileSync(`${path}.1`, "utf8"), readFileSync(path, "utf8")]).toEqual(["one\n", "two\n"]);
  });

  it("loses lines that it cannot write, counts them, and says so once until it can", async () => {
    const folder = join(makeFolder(), "later");
    const said: string[] = [];
    const log = new LogFile(join(folder, "log"), (what) => said.push(what));
    for (let i = 0; i < 3; i++) {
      log.add(line(i));
      await log.flush();
    }
    expect([log.written, log.lost, said.length]).toEqual([0, 3, 1]);
    expect(said[0]).toContain("ENOENT");
    spawnSync("mkdir", [folder]);
    log.add(line(3));
    await log.flush();
    rmSync(folder, { recursive: true });
    log.add(line(4));
    await log.close();
    expect([log.written, log.lost, said.length]).toEqual([1, 4, 2]);
  });

  it("does not wait for a pipe that nobody reads", async () => {
    const path = join(makeFolder(), "pipe");
    spawnSync("mkfifo", [path]);
    const log = new LogFile(path, () => {});
    log.add("one\n");
    await log.close();
    expect(log.lost).toBe(1);
  });

  it("keeps only so much that the disk has not taken", async () => {
    const log = new LogFile(join(makeFolder(), "log"), () => {});
    for (let i = 0; i < 100_000; i++) log.add(line(i));
    await log.close();
    expect(log.written + log.lost).toBe(100_000);
    expect(log.written).toBe(Math.floor((4 << 20) / 100));
  });

  it.skipIf(obstacle !== "")(`has whole lines only after the disk was full${obstacle}`, async () => {
    const folder = mkdtempSync("/dev/shm/sluice-test-");
    try {
      expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]).status).toBe(0);
      const said: string[] = [];
      const log = new LogFile(join(folder, "log"), (what) => said.push(what));
      for (let i = 0; i < 2000; i++) log.add(line(i));
      await log.flush();
      expect(log.written).toBe(Math.floor(65536 / 100));
      expect(log.written + log.lost).toBe(2000);
      expect(said).toEqual([expect.stringContaining("ENOSPC")]);
      spawnSync("mount", ["-o", "remount,size=128k", folder]);
      log.add(line(5000));
      await log.close();
      const lines = readFileSync(log.path, "utf8").split("\n");
      expect(lines.slice(0, log.written - 1)).toEqual(
        Array.from({ length: log.written - 1 }, (_, i) => line(i).trim()),
      );
      expect(lines.slice(-2)).toEqual([line(5000).trim(), ""]);
    } finally {
      spawnSync("umount", [folder]);
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
