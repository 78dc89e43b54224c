// Who may do what: every operation, asked by nobody, a stranger and each role.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isAllowed, type Method, permissions, type Resource, type Role, roles } from "../../runtime/control/roles.ts";
import { ApiDescription } from "../support/api-description.ts";
import { soundRequests, tapDocument } from "../support/api-requests.ts";
import { nextLoopback, RunningControl } from "../support/running-control.ts";

let control: RunningControl;
let api: ApiDescription;
const tokens = new Map<string, string | null>([
  ["nobody", null],
  ["a stranger", "0".repeat(43)],
]);

beforeAll(async () => {
  control = await RunningControl.start();
  api = await ApiDescription.read(control);
  for (const role of roles) tokens.set(role, await control.makeToken(role, `tester-${role}`));
});

afterAll(() => control?.dispose());

const requests = soundRequests({ chain: "nowhere", document: tapDocument("nowhere") });

describe("the roles", () => {
  it.each(["nobody", "a stranger", ...roles])("%s may do what the table says, and nothing else", async (who) => {
    const wrong: string[] = [];
    for (const operation of api.operations) {
      const { operationId, method } = operation;
      const request = { ...requests[operationId], token: tokens.get(who) ?? null, from: nextLoopback() };
      if (operationId === "createToken") request.path = { name: `made-by-${who.replace(" ", "-")}` };
      const { status } = await api.ask(control, operationId, request);
      const isKnown = roles.includes(who as Role);
      const mayDo = isKnown && isAllowed(who as Role, operation["x-resource"], method);
      const expected = !isKnown ? status === 401 : mayDo ? status !== 401 && status !== 403 : status === 403;
      if (!expected) wrong.push(`${operationId} as ${who}: ${status}`);
    }
    expect(wrong).toEqual([]);
  });

  it("have no part in what changes the box that a viewer has", () => {
    const changes = Object.entries(permissions).flatMap(([resource, verbs]) =>
      Object.entries(verbs)
        .filter(([verb]) => verb !== "GET")
        .map(([verb, role]) => `${verb} ${resource} ${role}`),
    );
    expect(changes.filter((change) => change.endsWith(" viewer"))).toEqual([]);
  });

  it("leave tokens, the audit and packages to administrators", () => {
    const forAdmins: Partial<Record<Resource, readonly Method[]>> = {
      tokens: ["GET", "PUT", "DELETE"],
      functions: ["PUT", "DELETE"],
      keys: ["PUT", "DELETE"],
      audit: ["GET"],
      backup: ["GET", "PUT"],
    };
    const listed = Object.entries(forAdmins).flatMap(([resource, methods]) =>
      methods.map((method) => ({ resource: resource as Resource, method })),
    );
    for (const { resource, method } of listed) {
      expect(
        roles.filter((role) => isAllowed(role, resource, method)),
        `${method} ${resource}`,
      ).toEqual(["admin"]);
    }
  });

  it("have every resource of the API, and no verb that is not in the table", () => {
    for (const { "x-resource": resource, "x-role": role, method } of api.operations) {
      expect((permissions[resource] as Partial<Record<Method, Role>>)[method]).toBe(role);
    }
    expect(isAllowed("admin", "health", "DELETE")).toBe(false);
  });

  it("of a token that was revoked are none", async () => {
    const token = await control.makeToken("operator", "short-lived");
    expect((await control.ask("/healthz", { token })).status).toBe(200);
    await control.ask("/api/v1/tokens/short-lived", { method: "DELETE" });
    expect((await control.ask("/healthz", { token, from: nextLoopback() })).status).toBe(401);
  });
});
