// Health, the description of the API, who may use it, and who did.
import { Type } from "typebox";
import { SluiceError } from "../../errors.ts";
import { METRICS_CONTENT_TYPE } from "../../telemetry/metrics.ts";
import { answers, bytesOf } from "../answers.ts";
import type { Audit } from "../audit.ts";
import { diffDocuments } from "../diff.ts";
import { auditEntry, roleName, token, tokenName } from "../schemas.ts";
import type { Api } from "../server.ts";
import type { Tokens } from "../tokens.ts";

export interface SystemRoutes {
  readonly tokens: Tokens;
  readonly audit: Audit;
  readonly isReady: () => boolean;
  readonly renderMetrics: () => Promise<string>;
}

export function addSystemRoutes(app: Api, setup: SystemRoutes): void {
  addHealth(app, setup);
  addTokens(app, setup.tokens);
  app.get(
    "/api/v1/audit",
    {
      config: { resource: "audit" },
      schema: {
        operationId: "listAudit",
        description: "Newest first.",
        querystring: Type.Object({ limit: Type.Integer({ minimum: 1, maximum: 10_000, default: 100 }) }),
        response: answers({ 200: Type.Array(auditEntry) }, "request-invalid"),
      },
    },
    async ({ query: { limit } }) => setup.audit.list(limit),
  );
  app.get(
    "/api/v1/openapi.json",
    {
      config: { resource: "description" },
      schema: { operationId: "getDescription", response: answers({ 200: Type.Object({ openapi: Type.String() }) }) },
    },
    async () => app.swagger(),
  );
}

function addHealth(app: Api, { isReady, renderMetrics }: SystemRoutes): void {
  const state = Type.Object({ status: Type.Enum(["ok", "starting"]) });
  app.get(
    "/healthz",
    { config: { resource: "health" }, schema: { operationId: "getHealth", response: answers({ 200: state }) } },
    async () => ({ status: "ok" as const }),
  );
  app.get(
    "/readyz",
    {
      config: { resource: "health" },
      schema: {
        operationId: "getReadiness",
        description: "200 when what is declared was tried at least once.",
        response: answers({ 200: state, 503: state }),
      },
    },
    async (_, reply) => {
      const ready = isReady();
      return reply.status(ready ? 200 : 503).send({ status: ready ? "ok" : "starting" });
    },
  );
  app.get(
    "/metrics",
    {
      config: { resource: "metrics" },
      schema: {
        operationId: "getMetrics",
        response: answers({ 200: bytesOf("text/plain", "In Prometheus's text format.") }),
      },
    },
    async (_, reply) => reply.type(METRICS_CONTENT_TYPE).send(await renderMetrics()),
  );
}

function addTokens(app: Api, tokens: Tokens): void {
  const config = { config: { resource: "tokens" } } as const;
  const params = Type.Object({ name: tokenName });
  app.get(
    "/api/v1/tokens",
    { ...config, schema: { operationId: "listTokens", response: answers({ 200: Type.Array(token) }) } },
    async () => tokens.list(),
  );
  app.put(
    "/api/v1/tokens/:name",
    {
      ...config,
      schema: {
        operationId: "createToken",
        description: "The token stands in this answer, and nowhere else ever.",
        params,
        body: Type.Object({ role: roleName }, { additionalProperties: false }),
        response: answers(
          { 201: Type.Object({ name: tokenName, role: roleName, token: Type.String() }) },
          ...(["request-invalid", "token-exists"] as const),
        ),
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { role } = request.body;
      const secret = tokens.create(name, role);
      request.diff = diffDocuments(name, undefined, { name, role });
      return reply.status(201).send({ name, role, token: secret });
    },
  );
  app.delete(
    "/api/v1/tokens/:name",
    {
      ...config,
      schema: {
        operationId: "revokeToken",
        params,
        response: answers({ 204: Type.Null() }, "request-invalid", "not-found"),
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const known = tokens.list().find((each) => each.name === name);
      if (known !== undefined && tokens.revoke(name)) {
        request.diff = diffDocuments(name, { name, role: known.role }, undefined);
        return reply.status(204).send(null);
      }
      throw new SluiceError({ code: "not-found", where: name, what: `there is no token "${name}"` });
    },
  );
}
