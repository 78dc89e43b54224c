// What holds for every route: it says what it is about, so that roles decide, and its description says all that can be
// answered. A route that does not is not registered, and control does not start.
import type { RouteOptions } from "fastify";
import { IsOptional, type TSchema } from "typebox";
import { completeAnswers } from "./answers.ts";
import { isAllowed, type Method, permissions, type Resource } from "./roles.ts";
import type { Api } from "./server.ts";

/** What is where. */
export interface Addresses {
  /** Of the address, with HEAD where there is GET; none if there is nothing there. */
  methodsOf(url: string): readonly string[];
  /** Whether a request there may have no body: what is registered is described by the route's own address. */
  isBodyOptional(method: string, url: string): boolean;
}

interface RouteSchema {
  response?: object;
  "x-resource"?: Resource;
  "x-role"?: string;
  readonly body?: TSchema;
  querystring?: { required?: readonly string[]; readonly properties?: Readonly<Record<string, { default?: unknown }>> };
}

export function keepRules(app: Api): Addresses {
  const routes: { readonly method: string; readonly pattern: RegExp }[] = [];
  const optional = new Set<string>();
  app.addHook("onRoute", (route) => {
    for (const method of [route.method].flat()) {
      routes.push({ method, pattern: patternOf(route.url) });
      if (method !== "HEAD") applyRules(route, method as Method);
      const { body } = (route.schema ?? {}) as RouteSchema;
      if (body !== undefined && IsOptional(body)) optional.add(`${method} ${route.url}`);
    }
  });
  return {
    methodsOf(url) {
      const path = url.split("?")[0] as string;
      return [...new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))].toSorted();
    },
    isBodyOptional: (method, url) => optional.has(`${method} ${url}`),
  };
}

function applyRules({ url, config, schema }: RouteOptions, method: Method): void {
  const resource: Resource | undefined = config?.resource;
  const least = resource === undefined ? undefined : (permissions[resource] as Partial<Record<Method, string>>)[method];
  if (resource === undefined || least === undefined) {
    throw new Error(`${method} ${url}: no role may ${method} ${resource ?? "what has no resource"} (roles.ts)`);
  }
  const described = schema as RouteSchema | undefined;
  if (described?.response === undefined) throw new Error(`${method} ${url}: it does not say what it answers`);
  described.response = completeAnswers(described.response, method, isAllowed("viewer", resource, method));
  // For whoever reads the description: what roles decide on, and who may.
  described["x-resource"] = resource;
  described["x-role"] = least;
  const { querystring } = described;
  // What has a default need not be said.
  if (querystring?.required !== undefined) {
    const isNeeded = (name: string) => querystring.properties?.[name]?.default === undefined;
    described.querystring = { ...querystring, required: querystring.required.filter(isNeeded) };
  }
}

function patternOf(url: string): RegExp {
  return new RegExp(`^${url.replace(/:[^/]+/g, "[^/]+").replaceAll("*", ".*")}/?$`);
}
