// Who may do what: verbs by resource, and the least role that each takes.

export const roles = ["viewer", "operator", "admin"] as const;
export type Role = (typeof roles)[number];
export type Method = "GET" | "PUT" | "POST" | "DELETE";

/** What is not in it, nobody may do. */
export const permissions = {
  chains: { GET: "viewer", PUT: "operator", DELETE: "operator" },
  revisions: { GET: "viewer" },
  confirmation: { POST: "operator" },
  upgrade: { GET: "viewer", POST: "operator" },
  stats: { GET: "viewer" },
  flows: { GET: "viewer" },
  alerts: { GET: "viewer" },
  /** Packets have what people write to each other in them. */
  packets: { GET: "operator", POST: "operator" },
  functions: { GET: "viewer", PUT: "admin", DELETE: "admin" },
  keys: { GET: "viewer", PUT: "admin", DELETE: "admin" },
  ports: { GET: "viewer" },
  health: { GET: "viewer" },
  metrics: { GET: "viewer" },
  description: { GET: "viewer" },
  tokens: { GET: "admin", PUT: "admin", DELETE: "admin" },
  audit: { GET: "admin" },
  backup: { GET: "admin", PUT: "admin" },
} as const satisfies Record<string, Partial<Record<Method, Role>>>;

export type Resource = keyof typeof permissions;

export function isAllowed(role: Role, resource: Resource, method: Method): boolean {
  const least = (permissions[resource] as Partial<Record<Method, Role>>)[method];
  return least !== undefined && roles.indexOf(role) >= roles.indexOf(least);
}
