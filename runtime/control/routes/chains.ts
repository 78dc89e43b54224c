// /api/v1/chains: what is declared, and changes of it.
import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { parseSource } from "../../chain/source-text.ts";
import { SluiceError } from "../../errors.ts";
import { answers, changeCodes, documentCodes, settleCodes, stepCodes } from "../answers.ts";
import type { ChainView } from "../chain-view.ts";
import type { Chains } from "../chains.ts";
import { type Applied, type ApplyOptions, type Declaration, etagOf } from "../declarations.ts";
import { diffDocuments } from "../diff.ts";
import { textOf, withoutStatus } from "../document-text.ts";
import { readTime } from "../request-time.ts";
import type { Revisions } from "../revisions.ts";
import {
  type ApplyQuery,
  applied,
  applyHeaders,
  applyQuery,
  chainBody,
  chainParams,
  chainResource,
  revision,
  revisionSummary,
  rollbackBody,
} from "../schemas.ts";
import type { Api } from "../server.ts";
import type { Settlement } from "../settlement.ts";

export interface ChainRoutes {
  readonly chains: Chains;
  readonly revisions: Revisions;
  readonly view: ChainView;
  readonly settlement: Settlement;
}

const documentTypes = ["application/json", "application/yaml", "application/x-yaml", "text/yaml"] as const;

const chain = { config: { resource: "chains" } } as const;
const confirmation = { config: { resource: "confirmation" } } as const;
const history = { config: { resource: "revisions" } } as const;

export function addChainRoutes(app: Api, setup: ChainRoutes): void {
  addReads(app, setup);
  addChanges(app, setup);
  addConfirmation(app, setup);
  addRevisions(app, setup);
}

function addReads(app: Api, { view }: ChainRoutes): void {
  app.get(
    "/api/v1/chains",
    {
      ...chain,
      schema: { operationId: "listChains", response: answers({ 200: Type.Array(chainResource) }, ...settleCodes) },
    },
    async () => view.list(),
  );
  app.get(
    "/api/v1/chains/:name",
    {
      ...chain,
      schema: {
        operationId: "getChain",
        params: chainParams,
        response: answers({ 200: chainResource }, "request-invalid", "not-found", ...settleCodes),
      },
    },
    async ({ params: { name } }, reply) => {
      const found = await view.read(name);
      return reply.header("etag", etagOf({ chain: name, revision: found.status.revision })).send(found);
    },
  );
}

function addChanges(app: Api, setup: ChainRoutes): void {
  const { chains, revisions } = setup;
  // Documents are read as text, so that faults have the places where they stand.
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser([...documentTypes], { parseAs: "string" }, (_, body, done) => done(null, body));
    scope.put(
      "/api/v1/chains/:name",
      {
        ...chain,
        validatorCompiler: ({ schema, httpPart }) =>
          httpPart === "body" ? () => true : (app.validatorCompiler?.({ schema, httpPart } as never) as never),
        schema: {
          operationId: "putChain",
          consumes: [...documentTypes],
          params: chainParams,
          querystring: applyQuery,
          headers: applyHeaders,
          body: chainBody,
          response: answers({ 200: applied, 201: applied }, "revision-conflict", ...documentCodes, ...changeCodes),
        },
      },
      async (request, reply) => {
        const { name } = request.params as { name: string };
        const declaration = { chain: name, text: withoutStatus(textOf(request.body)), where: "body" };
        const [result] = await put(setup, request, [declaration]);
        return answer(reply, result as Applied);
      },
    );
    scope.put(
      "/api/v1/chains",
      {
        ...chain,
        validatorCompiler: ({ schema, httpPart }) =>
          httpPart === "body" ? () => true : (app.validatorCompiler?.({ schema, httpPart } as never) as never),
        schema: {
          operationId: "putChains",
          consumes: [...documentTypes],
          description: "Several chains at once: all of them are applied, or none.",
          querystring: applyQuery,
          headers: applyHeaders,
          body: Type.Object({ chains: Type.Array(chainBody, { minItems: 1 }) }),
          response: answers({ 200: Type.Array(applied) }, "revision-conflict", ...documentCodes, ...changeCodes),
        },
      },
      async (request) => put(setup, request, readDeclarations(textOf(request.body))),
    );
  });
  app.delete(
    "/api/v1/chains/:name",
    {
      ...chain,
      schema: {
        operationId: "deleteChain",
        params: chainParams,
        headers: Type.Pick(applyHeaders, ["if-match"]),
        response: answers(
          { 204: Type.Null({ description: "It is stopped, its devices are released; its revisions stay." }) },
          ...(["request-invalid", "not-found", "revision-conflict", ...settleCodes] as const),
        ),
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const before = revisions.confirmed(name)?.pinned;
      await chains.delete(name, request.headers["if-match"]);
      request.diff = diffDocuments(name, before, undefined);
      return reply.status(204).send(null);
    },
  );
}

async function put({ chains, revisions }: ChainRoutes, request: FastifyRequest, declarations: readonly Declaration[]) {
  const names = declarations.map(({ chain: name }) => name);
  const before = new Map(names.map((name) => [name, revisions.confirmed(name)?.pinned]));
  const results = await chains.apply(declarations, readOptions(request), request.identity.name);
  const diffs = results.filter(({ changed }) => changed);
  request.diff = diffs.map(({ chain: name, document }) => diffDocuments(name, before.get(name), document)).join("");
  return results;
}

function addConfirmation(app: Api, { chains, revisions }: ChainRoutes): void {
  app.post(
    "/api/v1/chains/:name/confirm",
    {
      ...confirmation,
      schema: {
        operationId: "confirmChain",
        description: "The change that waits for it stays; so do all that were applied with it.",
        params: chainParams,
        response: answers({ 200: Type.Array(revisionSummary) }, ...stepCodes),
      },
    },
    async (request) => {
      request.diff = chains.diffUnderWay(request.params.name);
      return (await chains.confirm(request.params.name, request.identity.name)).map(summarize);
    },
  );
  app.post(
    "/api/v1/chains/:name/rollback",
    {
      ...confirmation,
      schema: {
        operationId: "rollbackChain",
        description: "Aborts the change that waits, or goes back to the revision before, or to the one that is named.",
        params: chainParams,
        querystring: applyQuery,
        headers: applyHeaders,
        body: Type.Optional(rollbackBody),
        response: answers(
          { 200: Type.Array(applied) },
          ...(["not-found", "revision-conflict", ...documentCodes, ...changeCodes] as const),
        ),
      },
    },
    async (request) => {
      const { name } = request.params;
      const before = revisions.confirmed(name)?.pinned;
      const { revision: target } = (request.body ?? {}) as { revision?: number };
      const results = await chains.rollback(name, target, readOptions(request), request.identity.name);
      request.diff = results.map(({ document }) => diffDocuments(name, before, document)).join("");
      return results;
    },
  );
}

function addRevisions(app: Api, { revisions, settlement }: ChainRoutes): void {
  const requireKnown = async (name: string) => {
    await settlement.settle(name);
    const known = revisions.list(name);
    if (known.length > 0) return known;
    throw new SluiceError({ code: "not-found", where: name, what: `there is no chain "${name}"` });
  };
  app.get(
    "/api/v1/chains/:name/revisions",
    {
      ...history,
      schema: {
        operationId: "listRevisions",
        description: "Newest first.",
        params: chainParams,
        response: answers({ 200: Type.Array(revisionSummary) }, "request-invalid", "not-found", ...settleCodes),
      },
    },
    async ({ params: { name } }) => (await requireKnown(name)).map(summarize),
  );
  app.get(
    "/api/v1/chains/:name/revisions/:revision",
    {
      ...history,
      schema: {
        operationId: "getRevision",
        params: Type.Intersect([chainParams, Type.Object({ revision: Type.Integer({ minimum: 1 }) })]),
        querystring: Type.Object({
          against: Type.Optional(Type.Integer({ minimum: 1, description: "Answers with the difference to that one." })),
        }),
        response: answers({ 200: revision }, "request-invalid", "not-found", ...settleCodes),
      },
    },
    async ({ params, query }) => {
      const { name, revision: number } = params as { name: string; revision: number };
      const known = await requireKnown(name);
      const find = (wanted: number) => {
        const found = known.find((each) => each.revision === wanted);
        if (found !== undefined) return found;
        throw new SluiceError({ code: "not-found", where: name, what: `there is no revision ${wanted}` });
      };
      const found = find(number);
      const diff =
        query.against === undefined ? undefined : diffDocuments(name, find(query.against).pinned, found.pinned);
      return { ...summarize(found), declared: found.declared, document: found.pinned, diff };
    },
  );
}

function summarize(found: ReturnType<Revisions["list"]>[number]) {
  const { declared: _, pinned: __, packages: ___, ...summary } = found;
  return summary;
}

function readOptions({ query, headers }: FastifyRequest): ApplyOptions {
  const { dryRun = false, cold = false, restart = false, confirmWithin } = query as ApplyQuery;
  return {
    ...{ dryRun, cold, restart },
    confirmWithinMs: confirmWithin === undefined ? undefined : readTime(confirmWithin, "confirmWithin"),
    ifMatch: headers["if-match"],
    ifNoneMatch: headers["if-none-match"],
  };
}

function answer(reply: FastifyReply, result: Applied): FastifyReply {
  const status = result.created && result.changed ? 201 : 200;
  // A change that waits to be confirmed is not what GET shows and If-Match takes.
  if (result.state !== "pending") void reply.header("etag", etagOf(result));
  return reply.status(status).send(result);
}

function readDeclarations(text: string): Declaration[] {
  const { value, faults } = parseSource(text, "body");
  const listed = (value as { chains?: unknown } | null)?.chains;
  if (faults.length > 0 || !Array.isArray(listed) || listed.length === 0) {
    const what = "must be a map whose key `chains` is a list of documents";
    throw new SluiceError({ code: "request-invalid", where: "body", what, pointer: "" }, ...faults);
  }
  const declarations = listed.map((document: unknown, index) => {
    const name = (document as { chain?: unknown } | null)?.chain;
    const text = withoutStatus(JSON.stringify(document) ?? "null");
    const pointer = `/chains/${index}`;
    return { chain: typeof name === "string" ? name : "", text, where: `body${pointer}`, pointer };
  });
  const names = declarations.map(({ chain: name }) => name);
  const twice = names.find((name, index) => name !== "" && names.indexOf(name) !== index);
  if (twice === undefined) return declarations;
  throw new SluiceError({ code: "request-invalid", where: "body", what: `the chain "${twice}" stands there twice` });
}
