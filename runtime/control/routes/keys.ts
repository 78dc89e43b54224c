// /api/v1/keys: whose packages are trusted.
import { Type } from "typebox";
import { SluiceError } from "../../errors.ts";
import { answers } from "../answers.ts";
import { diffDocuments } from "../diff.ts";
import { trustedKey, trustedKeyBody, trustedKeyParams } from "../schemas.ts";
import type { Api } from "../server.ts";
import type { TrustedKey, TrustedKeys } from "../trusted-keys.ts";

const config = { config: { resource: "keys" } } as const;

export function addKeyRoutes(app: Api, keys: TrustedKeys): void {
  addReads(app, keys);
  app.put(
    "/api/v1/keys/:name",
    {
      ...config,
      schema: {
        operationId: "putKey",
        description:
          "From now on, packages that it signed are admitted. 200: it replaces another key, or was there already.",
        params: trustedKeyParams,
        body: trustedKeyBody,
        response: answers(
          { 200: trustedKey, 201: trustedKey },
          ...(["request-invalid", "media-type", "body-too-large", "store-failed"] as const),
        ),
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const before = keys.find(name)?.key;
      const isNew = keys.put(name, request.body.key);
      request.diff = diffDocuments(name, describe(before), describe(keys.find(name)?.key));
      return reply.status(isNew ? 201 : 200).send(requireKey(keys, name));
    },
  );
  app.delete(
    "/api/v1/keys/:name",
    {
      ...config,
      schema: {
        operationId: "deleteKey",
        description: "Packages that it signed stay; none is admitted any more.",
        params: trustedKeyParams,
        response: answers({ 204: Type.Null() }, "request-invalid", "not-found", "store-failed"),
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { key } = requireKey(keys, name);
      keys.remove(name);
      request.diff = diffDocuments(name, describe(key), undefined);
      return reply.status(204).send(null);
    },
  );
}

function addReads(app: Api, keys: TrustedKeys): void {
  app.get(
    "/api/v1/keys",
    { ...config, schema: { operationId: "listKeys", response: answers({ 200: Type.Array(trustedKey) }) } },
    async () => keys.list(),
  );
  app.get(
    "/api/v1/keys/:name",
    {
      ...config,
      schema: {
        operationId: "getKey",
        params: trustedKeyParams,
        response: answers({ 200: trustedKey }, "request-invalid", "not-found"),
      },
    },
    async ({ params: { name } }) => requireKey(keys, name),
  );
}

function describe(key: string | undefined): object | undefined {
  return key === undefined ? undefined : { key };
}

function requireKey(keys: TrustedKeys, name: string): TrustedKey {
  const found = keys.find(name);
  if (found !== undefined) return found;
  throw new SluiceError({ code: "not-found", where: name, what: `no key "${name}" is trusted` });
}
