// Every change of every kind is written down with who asked for it, and how it ended.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Audit, type AuditEntry } from "../../runtime/control/audit.ts";
import { Database } from "../../runtime/control/database.ts";
import { type AnsweringHost, startAnsweringHost } from "../support/answering-host.ts";
import { ApiDescription } from "../support/api-description.ts";
import { soundRequests, tapDocument } from "../support/api-requests.ts";
import { RunningControl } from "../support/running-control.ts";
import { makeFolder } from "../support/temporary-folder.ts";

let control: RunningControl;
let host: AnsweringHost;
let api: ApiDescription;
let operator: string;

beforeAll(async () => {
  control = await RunningControl.start();
  host = await startAnsweringHost(control.stateFolder);
  api = await ApiDescription.read(control);
  operator = await control.makeToken("operator", "olga");
});

afterAll(async () => {
  host?.close();
  await control?.dispose();
});

const requests = soundRequests({ chain: "edge", document: tapDocument("edge") });
const list = async (limit = 10_000): Promise<AuditEntry[]> => (await control.ask(`/api/v1/audit?limit=${limit}`)).body;

describe("the audit", () => {
  it("has every change that is asked for, whatever becomes of it, and nothing that is only read", async () => {
    const tokens = { viewer: await control.makeToken("viewer", "vera"), operator, admin: control.token };
    for (const operation of api.operations) {
      for (const [role, token] of Object.entries(tokens)) {
        const [before] = await list(1);
        const { status } = await api.ask(control, operation.operationId, { ...requests[operation.operationId], token });
        const noted = (await list()).filter(({ id, at }) => id > (before?.id ?? 0) && at >= (before?.at ?? ""));
        const entry = {
          actor: { viewer: "vera", operator: "olga", admin: "admin" }[role],
          role,
          outcome: status < 400 ? "ok" : expect.stringMatching(/^[a-z]+(-[a-z]+)*$/),
        };
        const expected = operation.method === "GET" ? [] : [expect.objectContaining(entry)];
        expect({ operation: operation.operationId, role, noted }).toEqual({
          operation: operation.operationId,
          role,
          noted: expected,
        });
        if (operation.method !== "GET") {
          expect(noted[0]?.action).toBe(`${operation.method} ${operation.path.replace(/\{(\w+)\}/g, ":$1")}`);
          expect(noted[0]?.subject).toBe(
            api.addressOf(operation, { ...requests[operation.operationId], query: undefined } as never),
          );
        }
      }
    }
  });

  it("shows what was changed in a document, when it is declared, changed and deleted", async () => {
    const put = (more: object) =>
      control.ask("/api/v1/chains/edge", { method: "PUT", body: tapDocument("edge", more), token: operator });
    await control.ask("/api/v1/chains/edge", { method: "DELETE" });
    await put({ description: "one" });
    await put({ description: "two" });
    await control.ask("/api/v1/chains/edge/rollback", { method: "POST" });
    await control.ask("/api/v1/chains/edge", { method: "DELETE" });
    const diffs = (await list(4)).map(({ diff }) => diff).toReversed();
    expect(diffs[0]).toMatch(/^\+description: one$/m);
    expect(diffs[1]).toMatch(/^-description: one\n\+description: two$/m);
    expect(diffs[2]).toMatch(/^-description: two\n\+description: one$/m);
    expect(diffs[3]).toMatch(/^-description: one$/m);
  });

  it("shows which token was made, of which role, and not the token", async () => {
    const made = await control.makeToken("operator", "new");
    const [entry] = await list(1);
    expect(entry).toMatchObject({ action: "PUT /api/v1/tokens/:name", subject: "/api/v1/tokens/new", actor: "admin" });
    expect(entry?.diff).toMatch(/^\+role: operator$/m);
    expect(JSON.stringify(await list())).not.toContain(made);
    await control.ask("/api/v1/tokens/new", { method: "DELETE" });
    expect((await list(1))[0]?.diff).toMatch(/^-role: operator$/m);
  });

  it("has no dry runs, and nothing of those who are not known", async () => {
    const [before] = await list(1);
    await control.ask("/api/v1/chains/edge?dryRun=true", { method: "PUT", body: tapDocument("edge") });
    await control.ask("/api/v1/chains/edge", { method: "PUT", body: tapDocument("edge"), token: null });
    await control.ask("/api/v1/chains/edge", { method: "HEAD" });
    expect((await list(1))[0]).toEqual(before);
  });

  it("is written before whoever asked is answered, to the disk", async () => {
    await control.ask("/api/v1/tokens/last", { method: "PUT", body: { role: "viewer" } });
    await control.end("SIGKILL");
    const database = new DatabaseSync(join(control.dataFolder, "control.db"));
    const last = database.prepare("SELECT subject, outcome FROM audit ORDER BY id DESC LIMIT 1").get();
    expect(last).toEqual({ subject: "/api/v1/tokens/last", outcome: "ok" });
    database.close();
  });
});

describe("the audit's length", () => {
  it("is limited: the oldest entries go, and it says so", () => {
    const database = new Database(makeFolder());
    const audit = new Audit(database, 20);
    const add = (subject: string, diff = "") =>
      audit.add({ name: "olga", role: "operator" }, { action: "PUT", subject, outcome: "ok", diff });
    for (let count = 1; count <= 20; count += 1) add(String(count));
    expect(audit.list(100)).toHaveLength(20);
    const { at } = audit.list(100).at(-3) as AuditEntry;
    add("21");
    const entries = audit.list(100);
    expect(entries.map(({ subject }) => subject).slice(0, 3)).toEqual(["/api/v1/audit", "21", "20"]);
    expect(entries[0]).toMatchObject({ actor: "control", action: "audit cut", diff: `-3 entries, up to ${at}` });
    expect(entries.at(-1)?.subject).toBe("4");
    for (let count = 22; count <= 1000; count += 1) add(String(count));
    const later = audit.list(1000);
    expect(later.length).toBeLessThanOrEqual(21);
    expect(later.filter(({ action }) => action === "audit cut").length).toBeGreaterThan(0);
    database.close();
  });

  it("is limited for one entry, too", () => {
    const database = new Database(makeFolder());
    new Audit(database, 20).add(
      { name: "olga", role: "operator" },
      { action: "PUT", subject: "x", outcome: "ok", diff: "+".repeat(1 << 20) },
    );
    const [entry] = new Audit(database, 20).list(1) as [AuditEntry];
    expect(entry.diff.length).toBeLessThan(70_000);
    expect(entry.diff).toMatch(/\n… 983040 characters more$/);
    database.close();
  });
});
