// Who may ask for what: a token says who somebody is, his role what he may.
import type { FastifyReply, FastifyRequest } from "fastify";
import { SluiceError } from "../errors.ts";
import type { FailedLogins } from "./failed-logins.ts";
import { isAllowed, type Method } from "./roles.ts";
import type { Tokens } from "./tokens.ts";

/** Of every request, also of those that no route takes. */
export function authorize(request: FastifyRequest, reply: FastifyReply, tokens: Tokens, failures: FailedLogins): void {
  const [, secret] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  const identity = secret === undefined ? undefined : tokens.identify(secret);
  if (identity === undefined) {
    const place = placeOf(request);
    refuseMany(place, reply, failures);
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

/** Only of those who do not say who they are: others at the same address do not wait for them. */
function refuseMany(place: string, reply: FastifyReply, failures: FailedLogins): void {
  const waitSeconds = failures.waitSeconds(place);
  if (waitSeconds === 0) return;
  void reply.header("retry-after", waitSeconds);
  const what = "too many requests without a token that is valid";
  throw new SluiceError({ code: "rate-limited", where: "API", what });
}

/** Over the box's own socket there is no address. */
export function placeOf({ ip }: { readonly ip?: string }): string {
  return ip ?? "box";
}

function methodOf({ method }: FastifyRequest): Method {
  return (method === "HEAD" ? "GET" : method) as Method;
}
