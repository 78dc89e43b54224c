// The API's server: who may ask, what a request may look like, and how errors are answered. Routes are in routes/.

import type { IncomingMessage, ServerResponse } from "node:http";
import helmet from "@fastify/helmet";
import rateLimit from "@fastify/rate-limit";
import swagger, { type SwaggerOptions } from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
  type RawServerDefault,
} from "fastify";
import { chainSchema } from "../chain/schema.ts";
import { SluiceError } from "../errors.ts";
import type { Audit } from "./audit.ts";
import { describeProblem, PROBLEM_TYPE, problemSchema, toSluiceError } from "./problem.ts";
import { isAllowed, type Method, type Resource } from "./roles.ts";
import type { Identity, Tokens } from "./tokens.ts";
import { compileRequestSchema } from "./validation.ts";

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module "fastify" {
  interface FastifyRequest {
    identity: Identity;
    /** For the audit: what was changed in a document. */
    diff: string;
  }
  interface FastifyContextConfig {
    /** What the route is about, for roles; every route has one. */
    resource?: Resource;
  }
}

export interface ServerSetup {
  readonly tokens: Tokens;
  readonly audit: Audit;
  readonly logger: FastifyBaseLogger;
  readonly version: string;
  readonly tls: TlsOptions | null;
  readonly requestsPerSecond: number;
}

/** PEM. `clientCa`: clients need a certificate that it signed. */
export interface TlsOptions {
  readonly key: Buffer;
  readonly cert: Buffer;
  readonly clientCa?: Buffer | undefined;
}

const BODY_LIMIT = 8 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 30_000;

export async function createServer({ tls, logger, ...setup }: ServerSetup): Promise<Api> {
  const https = tls === null ? null : { ...tls, ca: tls.clientCa, requestCert: tls.clientCa !== undefined };
  const app = fastify({
    ...(https === null ? {} : { https: { ...https, rejectUnauthorized: https.requestCert } }),
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: ({ method }) => method === "GET" }),
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true },
  } as object).withTypeProvider<TypeBoxTypeProvider>() as unknown as Api;
  app.setValidatorCompiler(compileRequestSchema);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  answerErrors(app, setup.audit);
  app.decorateRequest("identity");
  app.decorateRequest("diff", "");
  // Who does not say who he is may not try for long.
  await app.register(rateLimit, {
    max: setup.requestsPerSecond,
    timeWindow: 1000,
    hook: "onRequest",
    // Over the box's own socket there is no address.
    keyGenerator: ({ ip }: { readonly ip?: string }) => ip ?? "box",
    errorResponseBuilder: (_, { after }) =>
      new SluiceError({ code: "rate-limited", where: "API", what: `too many requests; try again in ${after}` }),
  });
  await app.register(helmet, { contentSecurityPolicy: { directives: { defaultSrc: ["'none'"] } } });
  app.addHook("onRequest", async (request) => authorize(request, setup.tokens));
  app.addHook("onResponse", async (request, { statusCode }) => {
    if (request.method !== "GET" && statusCode < 400) note(request, setup.audit, "ok");
  });
  app.addSchema({ ...chainSchema, $id: "Chain" });
  app.addSchema(problemSchema);
  await app.register(swagger, describeApi(setup.version));
  return app;
}

function describeApi(version: string): SwaggerOptions {
  return {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Sluice", version, description: "Chains of network functions, declared and watched." },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, index) => {
        return typeof json.$id === "string" ? json.$id : `schema-${index}`;
      },
    },
  };
}

/** Of every request, also of those that no route takes. */
function authorize(request: FastifyRequest, tokens: Tokens): void {
  const [, secret] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  const identity = secret === undefined ? undefined : tokens.identify(secret);
  if (identity === undefined) {
    const what = secret === undefined ? "the request has no bearer token" : "the token is not known";
    throw new SluiceError({ code: "unauthenticated", where: "API", what });
  }
  request.identity = identity;
  const { resource } = request.routeOptions.config;
  if (resource === undefined || isAllowed(identity.role, resource, methodOf(request))) return;
  const what = `the role ${identity.role} may not ${request.method} ${resource}`;
  throw new SluiceError({ code: "forbidden", where: identity.name, what });
}

function methodOf({ method }: FastifyRequest): Method {
  return (method === "HEAD" ? "GET" : method) as Method;
}

function answerErrors(app: Api, audit: Audit): void {
  app.setErrorHandler((error, request, reply) => {
    const known = toSluiceError(error, `${request.method} ${request.url.split("?")[0]}`);
    const problem = describeProblem(known);
    if (problem.status >= 500) request.log.error({ err: error, requestId: request.id }, "request failed");
    if (request.method !== "GET" && request.identity !== undefined) note(request, audit, problem.code);
    if (problem.status === 401) void reply.header("www-authenticate", 'Bearer realm="sluice"');
    return reply.status(problem.status).type(PROBLEM_TYPE).send(problem);
  });
  app.setNotFoundHandler((request) => {
    throw new SluiceError({
      code: "not-found",
      where: `${request.method} ${request.url}`,
      what: "there is nothing there",
    });
  });
}

/** A store that fails is told to whoever asked, if anybody still listens. */
function note(request: FastifyRequest, audit: Audit, outcome: string): void {
  const subject = request.url.split("?")[0] as string;
  const action = `${request.method} ${request.routeOptions.url ?? subject}`;
  try {
    audit.add(request.identity, { action, subject, outcome, diff: request.diff });
  } catch (error) {
    request.log.error({ err: error }, "the audit cannot be written");
  }
}
