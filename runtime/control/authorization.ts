// Who may ask for what: a token says who somebody is, his role what he may.
import type { FastifyReply, FastifyRequest } from "fastify";
import { SluiceError } from "../errors.ts";
import type { FailedLogins } from "./failed-logins.ts";
import { isAllowed, type Method } from "./roles.ts";
import type { Tokens } from "./tokens.ts";

/** Of every request, also of those that no route takes. */
export function authorize(request: FastifyRequest, reply: FastifyReply, tokens: Tokens, failures: FailedLogins): void {
  const place = placeOf(request);
  const waitSeconds = failures.waitSeconds(place);
  if (waitSeconds > 0) {
    void reply.header("retry-after", waitSeconds);
    throw new SluiceError({
      code: "rate-limited",
      where: "API",
      what: "too many requests without a token that is valid",
    });
  }
  const [, secret] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  const identity = secret === undefined ? undefined : tokens.identify(secret);
  if (identity === undefined) {
    failures.add(place);
    request.log.warn({ place }, "a request without a valid token");
    const what = secret === undefined ? "the request has no bearer token" : "the token is not known";
    throw new SluiceError({ code: "unauthenticated", where: "API", what });
  }
  request.identity = identity;
  if (request.is404) return;
  const { resource } = request.routeOptions.config;
  if (resource !== undefined && isAllowed(identity.role, resource, methodOf(request))) return;
  const what = `the role ${identity.role} may not ${request.method} ${resource}`;
  throw new SluiceError({ code: "forbidden", where: identity.name, what });
}

/** Over the box's own socket there is no address. */
export function placeOf({ ip }: { readonly ip?: string }): string {
  return ip ?? "box";
}

function methodOf({ method }: FastifyRequest): Method {
  return (method === "HEAD" ? "GET" : method) as Method;
}
