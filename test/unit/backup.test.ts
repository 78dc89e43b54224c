// Everything that a box knows, as one file, on the same box and on another one.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { History } from "../../runtime/generation/history.ts";
import { startAnsweringHost } from "../support/answering-host.ts";
import { tapDocument } from "../support/api-requests.ts";
import { sluicePath } from "../support/run-sluice.ts";
import { RunningControl } from "../support/running-control.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const TYPE = "application/vnd.sqlite3";
const cleaning: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleaning.splice(0).toReversed()) await clean();
});

async function startBox() {
  const control = await RunningControl.start();
  cleaning.push(() => control.dispose());
  const host = await startAnsweringHost(control.stateFolder);
  cleaning.push(() => host.close());
  const declare = (chain: string, more: object) =>
    control.ask(`/api/v1/chains/${chain}`, { method: "PUT", body: tapDocument(chain, more) });
  const backup = async () => (await control.ask("/api/v1/backup")).bytes;
  const restore = (body: Uint8Array, token = control.token) =>
    control.ask("/api/v1/backup", { method: "PUT", headers: { "content-type": TYPE }, body, token });
  const describeChain = async (chain: string) => (await control.ask(`/api/v1/chains/${chain}`)).body;
  return { control, host, declare, backup, restore, describeChain };
}

function addTransition(folder: string, chain: string, at: string): void {
  const history = new History(folder);
  const fixed = {
    upgrade: 1,
    state: "committed",
    actor: "test",
    before: "a",
    after: "b",
    durationMs: 1,
    outcome: "ok",
  };
  history.add({ ...fixed, state: "committed", chain, at });
  history.close();
}

/** A copy of the backup with this done to it. */
function alter(bytes: Uint8Array, sql: string): Buffer {
  const database = new DatabaseSync(":memory:");
  database.deserialize(bytes);
  database.exec(sql);
  const altered = Buffer.from(database.serialize());
  database.close();
  return altered;
}

async function runCommand(control: RunningControl, ...args: readonly string[]) {
  const child = spawn(sluicePath, args, { env: control.environment, stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { status, stdout, stderr };
}

describe("a backup", () => {
  it("takes a box back to what was declared, and runs that", async () => {
    const box = await startBox();
    await box.declare("edge", { description: "first" });
    const bytes = await box.backup();
    await box.declare("edge", { description: "second" });
    const restored = await box.restore(bytes);
    expect({ status: restored.status, ...restored.body }).toEqual({
      status: 200,
      chains: ["edge"],
      revisions: 1,
      tokens: 1,
    });
    expect(await box.describeChain("edge")).toMatchObject({ description: "first", status: { revision: 1 } });
    expect((await box.control.ask("/api/v1/audit")).body[0]).toMatchObject({
      action: "PUT /api/v1/backup",
      actor: "admin",
      outcome: "ok",
      diff: expect.stringMatching(/^-description: second\n\+description: first$/m),
    });
  });

  it("stops what was not declared then, and starts what was", async () => {
    const box = await startBox();
    await box.declare("edge", {});
    const bytes = await box.backup();
    await box.control.ask("/api/v1/chains/edge", { method: "DELETE" });
    await box.declare("other", {});
    await box.restore(bytes);
    await expect.poll(() => [...box.host.hosted.keys()], { timeout: 15_000 }).toEqual(["edge"]);
  });

  it("has tokens, the history and the audit, for another box", async () => {
    const [old, next] = [await startBox(), await startBox()];
    const operator = await old.control.makeToken("operator");
    await old.declare("edge", {});
    addTransition(old.control.dataFolder, "edge", "2026-01-02T00:00:00.000Z");
    addTransition(next.control.dataFolder, "edge", "2026-01-01T00:00:00.000Z");
    const deputy = await next.control.makeToken("admin", "deputy");
    const bytes = await old.backup();
    expect((await next.restore(bytes, deputy)).status).toBe(200);
    for (const token of [operator, deputy, next.control.token]) {
      expect((await next.control.ask("/healthz", { token })).status).toBe(200);
    }
    expect((await next.control.ask("/healthz", { token: old.control.token })).status).toBe(401);
    const history = await next.control.ask("/api/v1/chains/edge/upgrade/history");
    expect(history.body.map(({ at }: { at: string }) => at.slice(0, 10))).toEqual(["2026-01-01", "2026-01-02"]);
    const audit = (await next.control.ask("/api/v1/audit")).body as { action: string; subject: string }[];
    expect(audit.map(({ action, subject }) => `${action.split(" ")[0]} ${subject}`)).toEqual(
      expect.arrayContaining([
        ...[
          "PUT /api/v1/backup",
          "PUT /api/v1/tokens/deputy",
          "PUT /api/v1/chains/edge",
          "PUT /api/v1/tokens/operator",
        ],
      ]),
    );
    expect(audit).toHaveLength(4);
    await next.restore(bytes, deputy);
    expect((await next.control.ask("/api/v1/chains/edge/upgrade/history")).body).toHaveLength(2);
  });

  it("leaves no change under way that was", async () => {
    const box = await startBox();
    await box.declare("edge", {});
    const bytes = alter(await box.backup(), "UPDATE revisions SET state = 'pending'");
    expect((await box.restore(bytes)).status).toBe(200);
    const { body } = await box.control.ask("/api/v1/chains/edge/revisions");
    expect(body).toMatchObject([{ revision: 1, state: "rolled-back" }]);
  });

  it("holds no token, and leaves no file behind", async () => {
    const box = await startBox();
    const made = await box.control.makeToken("viewer");
    const bytes = await box.backup();
    expect(bytes.subarray(0, 15).toString()).toBe("SQLite format 3");
    expect(bytes.includes(made)).toBe(false);
    await box.restore(bytes);
    await box.restore(Buffer.from("nothing"));
    expect(readdirSync(box.control.dataFolder).filter((name) => name.startsWith("backup"))).toEqual([]);
  });

  it("is refused if it is none, is damaged or of another version, and then nothing has changed", async () => {
    const box = await startBox();
    await box.declare("edge", { description: "stays" });
    const bytes = await box.backup();
    const damaged = Buffer.from(bytes);
    damaged.fill(0xa5, 4096 + 100, 8192);
    const wrong: readonly (readonly [string, Uint8Array])[] = [
      ["empty", new Uint8Array()],
      ["text", Buffer.from("nothing of the kind")],
      ["damaged", damaged],
      ["cut", bytes.subarray(0, bytes.length - 4096)],
      ["of another program", alter(bytes, "PRAGMA application_id = 1")],
      ["without a table", alter(bytes, "DROP TABLE tokens")],
      ["without history", alter(bytes, "DROP TABLE transitions")],
      ["with a trigger", alter(bytes, "CREATE TRIGGER t AFTER INSERT ON tokens BEGIN DELETE FROM audit; END")],
      ["with a view", alter(bytes, "CREATE VIEW v AS SELECT 1")],
      ["with a role that is none", alter(bytes, "UPDATE tokens SET role = 'root'")],
      ["with a document that is none", alter(bytes, "UPDATE revisions SET pinned = '{'")],
      ["without the revision", alter(bytes, "DELETE FROM revisions")],
    ];
    for (const [what, body] of wrong) {
      const answered = await box.restore(body);
      expect({ what, status: answered.status, code: answered.body.code }).toEqual({
        what,
        status: 422,
        code: "backup-invalid",
      });
    }
    expect(await box.describeChain("edge")).toMatchObject({ description: "stays", status: { revision: 1 } });
    expect((await box.control.ask("/healthz")).status).toBe(200);
  });

  it("survives a restart right after it was restored", async () => {
    const box = await startBox();
    await box.declare("edge", { description: "first" });
    const bytes = await box.backup();
    await box.declare("edge", { description: "second" });
    await box.restore(bytes);
    await box.control.end("SIGKILL");
    const { stateFolder, dataFolder } = box.control;
    const again = await RunningControl.start({ stateFolder, dataFolder });
    cleaning.push(() => again.dispose());
    expect((await again.ask("/api/v1/chains/edge")).body).toMatchObject({ description: "first" });
  });
});

describe("sluice backup, sluice restore, sluice audit", () => {
  it("do it from the command line", async () => {
    const box = await startBox();
    await box.declare("edge", { description: "first" });
    const file = join(makeFolder(), "box.db");
    expect(await runCommand(box.control, "backup", file)).toMatchObject({ status: 0, stderr: "" });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    await box.declare("edge", { description: "second" });
    const restored = await runCommand(box.control, "restore", file);
    expect(restored).toEqual({ status: 0, stderr: "", stdout: "to run: edge (1 revisions, 1 tokens)\n" });
    const { stdout } = await runCommand(box.control, "audit", "--limit", "2");
    expect(stdout).toMatch(/admin +admin +PUT \/api\/v1\/backup +ok\n.*PUT \/api\/v1\/chains\/edge +ok\n$/);
    expect((await runCommand(box.control, "audit", "--diff")).stdout).toContain("  +description: first\n");
    writeFileSync(file, "nothing");
    expect(await runCommand(box.control, "restore", file)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("error[backup-invalid] backup: "),
    });
  });
});
