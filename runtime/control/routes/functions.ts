// /api/v1/functions: what chains can use.
import type { FastifyRequest } from "fastify";
import { Type } from "typebox";
import type { ErrorCode } from "../../errors.ts";
import { PACKAGE_BYTES_MAX, writePackage } from "../../function/package-archive.ts";
import { answers } from "../answers.ts";
import { diffDocuments } from "../diff.ts";
import type { KnownFunctions } from "../known-functions.ts";
import type { Registry } from "../registry.ts";
import { functionDetails, functionParams, functionSummary } from "../schemas.ts";
import type { Api } from "../server.ts";

const functions = { config: { resource: "functions" } } as const;
const PACKAGE_TYPE = "application/x-tar";

/** What an upload can be refused for. */
const uploadCodes: readonly ErrorCode[] = [
  ...(["request-invalid", "media-type", "body-too-large", "package-invalid", "manifest-invalid"] as const),
  ...(["document-syntax", "abi-version", "signature-invalid", "function-exists", "module-invalid"] as const),
  ...(["module-not-function", "module-forbidden", "memory-limit", "config-invalid", "function-unsound"] as const),
  ...(["native-missing", "system-call", "store-failed"] as const),
];

export interface FunctionRoutes {
  readonly registry: Registry;
  readonly known: KnownFunctions;
}

export function addFunctionRoutes(app: Api, setup: FunctionRoutes): void {
  addReads(app, setup.known);
  addUpload(app, setup);
  app.delete(
    "/api/v1/functions/:name/:version",
    {
      ...functions,
      schema: {
        operationId: "deleteFunction",
        description: "Revisions that had it can still be gone back to.",
        params: functionParams,
        response: answers(
          { 204: Type.Null() },
          ...(["request-invalid", "not-found", "function-in-use", "store-failed"] as const),
        ),
      },
    },
    async (request, reply) => {
      const { name, version } = request.params;
      await setup.registry.remove(name, version);
      request.diff = diffDocuments(name, { function: `${name}@${version}` }, undefined);
      return reply.status(204).send(null);
    },
  );
}

function addReads(app: Api, known: KnownFunctions): void {
  app.get(
    "/api/v1/functions",
    { ...functions, schema: { operationId: "listFunctions", response: answers({ 200: Type.Array(functionSummary) }) } },
    async () => known.list(),
  );
  const description = `With its manifest; the package itself for who accepts ${PACKAGE_TYPE}.`;
  const packed = { type: "string", format: "binary" } as const;
  const content = { "application/json": { schema: functionDetails }, [PACKAGE_TYPE]: { schema: packed } };
  app.get(
    "/api/v1/functions/:name/:version",
    {
      ...functions,
      schema: {
        operationId: "getFunction",
        params: functionParams,
        response: answers(
          { 200: Type.Unsafe<unknown>({ description, content }) },
          ...(["request-invalid", "not-found", "file-unreadable"] as const),
        ),
      },
    },
    async ({ params: { name, version }, headers: { accept = "" } }, reply) => {
      reply.header("vary", "accept");
      if (!accept.includes(PACKAGE_TYPE)) return reply.send(known.read(name, version));
      const file = `attachment; filename="${name}-${version}.tar"`;
      const tar = writePackage(known.pack(name, version));
      return reply.type(PACKAGE_TYPE).header("content-disposition", file).send(tar);
    },
  );
}

function addUpload(app: Api, { registry, known }: FunctionRoutes): void {
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    const limits = { parseAs: "buffer", bodyLimit: PACKAGE_BYTES_MAX } as const;
    scope.addContentTypeParser(PACKAGE_TYPE, limits, (_, body, done) => done(null, body));
    scope.put(
      "/api/v1/functions/:name/:version",
      {
        ...functions,
        bodyLimit: PACKAGE_BYTES_MAX,
        schema: {
          operationId: "putFunction",
          description:
            "Answers when the package was checked, tried and measured, which takes seconds. 200: it was there already.",
          params: functionParams,
          body: Type.Unsafe<unknown>({ content: { [PACKAGE_TYPE]: { schema: {} } } }),
          response: answers({ 200: functionDetails, 201: functionDetails }, ...uploadCodes),
        },
      },
      async (request: FastifyRequest, reply) => {
        const { name, version } = request.params as { name: string; version: string };
        const body = request.body instanceof Uint8Array ? Buffer.from(request.body) : Buffer.alloc(0);
        const isNew = await registry.upload(body, name, version, request.identity.name);
        if (isNew) request.diff = diffDocuments(name, undefined, { function: `${name}@${version}` });
        return reply.status(isNew ? 201 : 200).send(known.read(name, version));
      },
    );
  });
}
