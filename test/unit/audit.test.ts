// Every change of every kind is written down with who asked for it, and how it ended.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AuditEntry } from "../../runtime/control/audit.ts";
import { type AnsweringHost, startAnsweringHost } from "../support/answering-host.ts";
import { ApiDescription } from "../support/api-description.ts";
import { soundRequests, tapDocument } from "../support/api-requests.ts";
import { RunningControl } from "../support/running-control.ts";

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
