// The API's server: who may ask, what a request may look like, and how errors are answered. Routes are in routes/.

import type { IncomingMessage, ServerResponse } from "node:http";
import helmet from "@fastify/helmet";
import rateLimit from "@fastify/rate-limit";
import swagger from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
  type RawServerDefault,
} from "fastify";
import { SluiceError } from "../errors.ts";
import type { Audit } from "./audit.ts";
import { authorize, placeOf } from "./authorization.ts";
import { answerBrokenRequests } from "./broken-requests.ts";
import { describeApi } from "./description.ts";
import { FailedLogins } from "./failed-logins.ts";
import { giveUpStalled, limitStreams } from "./open-streams.ts";
import { describeProblem, PROBLEM_TYPE, type Problem, toSluiceError } from "./problem.ts";
import { problemSchema } from "./problem-schema.ts";
import type { Resource } from "./roles.ts";
import { type Addresses, keepRules } from "./route-rules.ts";
import { namedSchemas } from "./schemas.ts";
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
  /** Live streams of one token. */
  readonly streams: number;
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
    // Before any route is found: whoever asks need not be known.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      return sendProblem(reply, describeProblem(toSluiceError(error, request.method)));
    },
  } as object).withTypeProvider<TypeBoxTypeProvider>() as unknown as Api;
  app.setValidatorCompiler(compileRequestSchema);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  const addresses = keepRules(app);
  answerErrors(app, setup.audit);
  app.decorateRequest("identity");
  app.decorateRequest("diff", "");
  await app.register(rateLimit, {
    max: setup.requestsPerSecond,
    timeWindow: 1000,
    hook: "onRequest",
    keyGenerator: placeOf,
    errorResponseBuilder: (_, { after }) =>
      new SluiceError({ code: "rate-limited", where: "API", what: `too many requests; try again in ${after}` }),
  });
  answerUnknownAddresses(app, addresses);
  await app.register(helmet, { contentSecurityPolicy: { directives: { defaultSrc: ["'none'"] } } });
  const failures = new FailedLogins();
  app.addHook("onRequest", async (request, reply) => authorize(request, reply, setup.tokens, failures));
  limitStreams(app, setup.streams);
  giveUpStalled(app);
  // Before whoever asked is told: what he knows of is written down.
  app.addHook("onSend", async (request, { statusCode }) => {
    if (isChange(request) && statusCode < 400 && !isDryRun(request)) note(request, setup.audit, "ok");
  });
  for (const schema of [...namedSchemas, problemSchema]) app.addSchema(schema);
  await app.register(swagger, describeApi(setup.version, addresses));
  answerBrokenRequests(app.server, app);
  return app;
}

/** Asked for by somebody who is known. */
function isChange({ method, identity }: FastifyRequest): boolean {
  return !["GET", "HEAD", "OPTIONS"].includes(method) && identity !== undefined;
}

function isDryRun({ query }: FastifyRequest): boolean {
  return (query as { dryRun?: boolean }).dryRun === true;
}

function answerErrors(app: Api, audit: Audit): void {
  app.setErrorHandler((error, request, reply) => {
    const known = toSluiceError(error, `${request.method} ${request.url.split("?")[0]}`);
    const problem = describeProblem(known);
    if (problem.status >= 500) request.log.error({ err: error, requestId: request.id }, "request failed");
    if (isChange(request) && problem.status !== 429) note(request, audit, problem.code);
    return sendProblem(reply, problem);
  });
}

function answerUnknownAddresses(app: Api, addresses: Addresses): void {
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, (request, reply) => {
    const where = `${request.method} ${request.url.split("?")[0]}`;
    const allowed = addresses.methodsOf(request.url);
    if (allowed.length === 0) throw new SluiceError({ code: "not-found", where, what: "there is nothing there" });
    void reply.header("allow", allowed.join(", "));
    throw new SluiceError({ code: "method-not-allowed", where, what: `it takes ${allowed.join(", ")}` });
  });
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.status === 401) void reply.header("www-authenticate", 'Bearer realm="sluice"');
  return reply.status(problem.status).type(PROBLEM_TYPE).send(problem);
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
