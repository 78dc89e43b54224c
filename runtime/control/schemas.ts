// The shapes of the API's requests and answers: validation, OpenAPI and types follow from them.
import { type Static, type TSchema, Type } from "typebox";
import { type ChainDocument, chainSchema } from "../chain/schema.ts";
import { upgradeStates } from "../generation/history.ts";
import { roles } from "./roles.ts";

export function nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Union([schema, Type.Null()]);
}

const time = Type.String({ description: "ISO 8601" });
const duration = (description: string) =>
  Type.String({ pattern: "^\\d+(\\.\\d+)?(ms|s|m|h)$", title: "a time such as 500ms, 60s or 10m", description });

export const chainName = Type.String({
  pattern: "^[a-z][a-z0-9-]{0,62}$",
  title: "a chain name (a lower-case letter, then up to 62 lower-case letters, digits or '-')",
});

export const chainParams = Type.Object({ name: chainName });

export const revisionState = Type.Enum(["applying", "loaded", "pending", "confirmed", "rolled-back", "failed"]);

const fault = Type.Object({
  code: Type.String(),
  where: Type.String(),
  what: Type.String(),
  help: Type.Optional(Type.String()),
  pointer: Type.Optional(Type.String()),
});

export const chainStatus = Type.Object({
  revision: Type.Integer(),
  state: Type.Enum(["running", "stopped", "failed"], { description: "failed: it is to run and cannot" }),
  change: nullable(revisionState),
  confirmUntil: nullable(time),
  origin: Type.Enum(["api", "file"], { description: "file: it runs as long as it is named on the command line" }),
  generation: nullable(Type.Integer()),
  pid: nullable(Type.Integer()),
  started: nullable(time),
  faults: Type.Array(fault),
});
const statusHolder = Type.Object({ status: chainStatus });

/** The document, with exact versions, and what has become of it. */
export const chainResourceSchema = {
  ...chainSchema,
  $id: "ChainResource",
  properties: { ...chainSchema.properties, status: chainStatus },
  required: [...chainSchema.required, "status"],
};
export const chainResource = Type.Unsafe<ChainDocument & Static<typeof statusHolder>>({ $ref: "ChainResource" });

/** `status` may stand in it, so that what was got can be put; it is ignored. */
export const chainBodySchema = {
  ...chainSchema,
  $id: "ChainBody",
  properties: { ...chainSchema.properties, status: Type.Unknown({ description: "Ignored." }) },
};
export const chainBody = Type.Unsafe<unknown>({ $ref: "ChainBody" });

export const applyQuery = Type.Object(
  {
    dryRun: Type.Optional(Type.Boolean({ description: "Only say what would be done." })),
    confirmWithin: Type.Optional(duration("Goes back by itself unless confirmed in time.")),
    cold: Type.Optional(Type.Boolean({ description: "State that cannot be taken over begins anew." })),
    restart: Type.Optional(
      Type.Boolean({ description: "The chain may be stopped for what cannot be changed while it runs." }),
    ),
  },
  { additionalProperties: false },
);
export type ApplyQuery = Static<typeof applyQuery>;

export const applyHeaders = Type.Object({
  "if-match": Type.Optional(Type.String()),
  "if-none-match": Type.Optional(Type.String()),
});

const section = Type.Object({
  added: Type.Array(Type.String()),
  removed: Type.Array(Type.String()),
  changed: Type.Array(Type.String()),
});

export const changePlan = Type.Object({
  chain: Type.String(),
  way: Type.Enum(["none", "settings", "generation", "start", "restart"], {
    description:
      "none: it is as it was; settings: nothing that packets see; generation: while traffic flows; start: it does not run yet; restart: it has to be stopped for it",
  }),
  restartFor: Type.Array(Type.String()),
  ports: section,
  functions: Type.Array(
    Type.Object({
      function: Type.String(),
      kind: Type.Enum(["added", "removed", "version", "configuration", "policy"]),
      from: nullable(Type.String()),
      to: nullable(Type.String()),
    }),
  ),
  paths: Type.Boolean({ description: "Whether paths or branches differ." }),
  settings: Type.Array(Type.String(), { description: "Other keys of the document that differ." }),
  state: Type.Array(
    Type.Object({
      function: Type.String(),
      kind: Type.Enum(["segment", "column"]),
      name: Type.String(),
      outcome: Type.Enum(["kept", "migrated", "lost", "new"]),
      why: Type.Optional(Type.String()),
    }),
  ),
  flows: nullable(
    Type.Object({
      live: Type.Integer(),
      affected: Type.Integer({ description: "That take another way, or one through a function that is another then." }),
    }),
  ),
  warnings: Type.Array(
    Type.Object({ code: Type.String(), where: Type.String(), what: Type.String(), pointer: Type.String() }),
  ),
});

export const applied = Type.Object({
  chain: Type.String(),
  revision: Type.Integer({ description: "That runs now; 0 if none does." }),
  created: Type.Boolean(),
  changed: Type.Boolean(),
  state: revisionState,
  confirmUntil: nullable(time),
  plan: changePlan,
  pauseUs: nullable(Type.Number({ description: "Between two batches, in microseconds." })),
  tookMs: Type.Number({ description: "Until the change carried traffic, in milliseconds." }),
  document: Type.Ref("Chain"),
});

export const revisionSummary = Type.Object({
  chain: Type.String(),
  revision: Type.Integer(),
  change: Type.Integer({ description: "Those of one change were applied together." }),
  way: Type.Enum(["none", "settings", "generation", "start", "restart"]),
  state: revisionState,
  outcome: Type.String(),
  actor: Type.String(),
  at: time,
  confirmUntil: nullable(time),
});

export const revision = Type.Intersect([
  revisionSummary,
  Type.Object({ declared: Type.Ref("Chain"), document: Type.Ref("Chain"), diff: Type.Optional(Type.String()) }),
]);

export const upgradeStatus = Type.Object(
  {
    chain: Type.String(),
    upgrade: Type.Integer(),
    state: Type.Enum([...upgradeStates]),
    generation: Type.Integer(),
    other: nullable(Type.Integer()),
    before: Type.String(),
    after: Type.String(),
    commitUntil: nullable(time),
    pauseUs: nullable(Type.Number()),
    migrationLeft: Type.Integer(),
    plan: nullable(Type.String()),
  },
  { description: "More stands in it: state changes, migrations, measurements, canary and shadow." },
);

export const transition = Type.Object({
  chain: Type.String(),
  upgrade: Type.Integer(),
  state: Type.String(),
  at: time,
  actor: Type.String(),
  before: Type.String(),
  after: Type.String(),
  durationMs: Type.Number(),
  outcome: Type.String(),
  plan: nullable(Type.String()),
  step: nullable(Type.String()),
  attempt: nullable(Type.Integer()),
});

export const loadBody = Type.Object(
  {
    document: chainBody,
    cold: Type.Optional(Type.Boolean()),
    commitWithin: Type.Optional(duration("After the switchover; 60s unless said.")),
    shadow: Type.Optional(
      Type.Object({ abortOn: Type.Optional(Type.Array(Type.String())) }, { additionalProperties: false }),
    ),
  },
  { additionalProperties: false },
);

export const switchBody = Type.Object(
  {
    canary: Type.Optional(
      Type.Union([
        Type.Object(
          { share: Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 }) },
          { additionalProperties: false },
        ),
        Type.Object({ match: Type.String() }, { additionalProperties: false }),
      ]),
    ),
    abortOn: Type.Optional(Type.Array(Type.String(), { maxItems: 16 })),
  },
  { additionalProperties: false },
);

export const rollbackBody = Type.Object(
  { revision: Type.Optional(Type.Integer({ minimum: 1 })) },
  { additionalProperties: false },
);

export const tokenName = Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", title: "a name" });
export const roleName = Type.Enum([...roles]);
export const token = Type.Object({ name: tokenName, role: roleName, at: time });

export const functionParams = Type.Object({
  name: Type.String({ pattern: "^[a-z][a-z0-9-]{0,62}$", title: "a function's name" }),
  version: Type.String({ format: "semver", title: "a version such as 1.4.2 (semver)" }),
});

export const functionSummary = Type.Object({
  name: Type.String(),
  version: Type.String(),
  origin: Type.Enum(["registry", "built-in", "local"], {
    description: "registry: uploaded; local: of a chain that was named on the command line of the box",
  }),
  description: Type.String(),
  digest: nullable(
    Type.String({ description: "SHA-256 of manifest and module; null if it is built in and not built." }),
  ),
  signedBy: nullable(Type.String({ description: "The name of the trusted key." })),
  measured: nullable(
    Type.Object(
      {
        smoke: Type.String({ description: "`passed`, or `skipped: WHY`" }),
        configurations: Type.Integer(),
        frames: Type.Integer({ description: "Malformed frames that each of them was tried with." }),
        cost: nullable(
          Type.Object({
            frameBytes: Type.Integer(),
            batch: Type.Integer(),
            nsPerPacket: Type.Number({ description: "Median of the rounds, with the host's call." }),
            best: Type.Number(),
            worst: Type.Number(),
            rounds: Type.Integer(),
          }),
        ),
      },
      { description: "When it was admitted; null for functions that never were." },
    ),
  ),
  usedBy: Type.Array(Type.String(), { description: "Chains that run it, or are about to." }),
  at: nullable(time),
});

export const functionDetails = Type.Intersect([
  functionSummary,
  Type.Object({ manifest: Type.Unsafe<unknown>({ type: "object" }) }),
]);

export const trustedKeyParams = Type.Object({ name: tokenName });
export const trustedKeyBody = Type.Object(
  { key: Type.String({ description: "An Ed25519 public key in PEM." }) },
  { additionalProperties: false },
);
export const trustedKey = Type.Object({ name: tokenName, key: Type.String(), at: time });

export const auditEntry = Type.Object({
  id: Type.Integer(),
  at: time,
  actor: Type.String(),
  role: Type.String(),
  action: Type.String(),
  subject: Type.String(),
  outcome: Type.String(),
  diff: Type.String(),
});

export const portResource = Type.Object({
  chain: Type.String(),
  port: Type.String(),
  device: Type.String(),
  mode: Type.String(),
  refused: Type.Array(Type.Object({ mode: Type.String(), why: Type.String() })),
  counters: Type.Record(Type.String(), Type.Integer()),
});

/** What schemas refer to by name. */
export const namedSchemas = [{ ...chainSchema, $id: "Chain" }, chainResourceSchema, chainBodySchema];
