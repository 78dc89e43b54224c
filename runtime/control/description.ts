// How the API describes itself: OpenAPI 3.1, from the routes' schemas.
import type { SwaggerOptions, SwaggerTransformObject } from "@fastify/swagger";
import type { Addresses } from "./route-rules.ts";

export function describeApi(version: string, addresses: Addresses): SwaggerOptions {
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
    transformObject: (described) => markOptionalBodies(described, addresses),
  };
}

/** The generator says that every body is needed. */
function markOptionalBodies(described: Parameters<SwaggerTransformObject>[0], addresses: Addresses) {
  if (!("openapiObject" in described)) return described.swaggerObject;
  const { openapiObject } = described;
  for (const [path, item] of Object.entries(openapiObject.paths ?? {})) {
    for (const [method, { requestBody }] of Object.entries(
      item as Record<string, { requestBody?: { required: boolean } }>,
    )) {
      const url = path.replace(/\{([^}]+)\}/g, ":$1");
      if (requestBody !== undefined && addresses.isBodyOptional(method.toUpperCase(), url))
        requestBody.required = false;
    }
  }
  return openapiObject;
}
