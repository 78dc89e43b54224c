// /api/v1/backup: the whole store as one file.
import { Type } from "typebox";
import { answers, bytesOf } from "../answers.ts";
import { BACKUP_TYPE, type Backup } from "../backup.ts";
import type { Chains } from "../chains.ts";
import { diffDocuments } from "../diff.ts";
import type { Revisions } from "../revisions.ts";
import type { Api } from "../server.ts";
import type { Settlement } from "../settlement.ts";

export interface BackupRoutes {
  readonly backup: Backup;
  readonly chains: Chains;
  readonly revisions: Revisions;
  readonly settlement: Settlement;
}

const LARGEST = 256 * 1024 * 1024;
const config = { config: { resource: "backup" } } as const;

export function addBackupRoutes(app: Api, setup: BackupRoutes): void {
  const { backup, chains } = setup;
  app.get(
    "/api/v1/backup",
    {
      ...config,
      schema: {
        operationId: "getBackup",
        description: "Chains with all revisions, packages, keys, tokens (as hashes), the audit and the history.",
        response: answers({ 200: bytesOf(BACKUP_TYPE, "An SQLite database.") }, "file-unwritable"),
      },
    },
    async (_, reply) => {
      const bytes = await chains.exclusively(async () => backup.create());
      const name = `sluice-${new Date().toISOString().slice(0, 10)}.db`;
      return reply.type(BACKUP_TYPE).header("content-disposition", `attachment; filename="${name}"`).send(bytes);
    },
  );
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(BACKUP_TYPE, { parseAs: "buffer", bodyLimit: LARGEST }, (_, body, done) =>
      done(null, body),
    );
    addRestore(scope as Api, setup);
  });
}

function addRestore(app: Api, { backup, chains, revisions, settlement }: BackupRoutes): void {
  app.put(
    "/api/v1/backup",
    {
      ...config,
      bodyLimit: LARGEST,
      validatorCompiler: () => () => true,
      schema: {
        operationId: "restoreBackup",
        description:
          "Everything is as it was when the backup was made, and what is to run follows. The audit keeps what it has, the token of whoever asks stays valid.",
        consumes: [BACKUP_TYPE],
        body: Type.Unsafe<unknown>({ type: "string", format: "binary" }),
        response: answers(
          {
            200: Type.Object({
              chains: Type.Array(Type.String(), { description: "Those that are to run now." }),
              revisions: Type.Integer(),
              tokens: Type.Integer(),
            }),
          },
          ...(["backup-invalid", "upgrade-state", "file-unwritable"] as const),
        ),
      },
    },
    async (request) => {
      const bytes = request.body instanceof Uint8Array ? request.body : new Uint8Array();
      return chains.exclusively(async () => {
        chains.requireAllAtRest();
        const before = documentsOf(revisions);
        const restored = backup.restore(bytes, request.identity.name);
        settlement.forget();
        const after = documentsOf(revisions);
        const names = [...new Set([...before.keys(), ...after.keys()])].toSorted();
        request.diff = names.map((name) => diffDocuments(name, before.get(name), after.get(name))).join("");
        return restored;
      });
    },
  );
}

function documentsOf(revisions: Revisions) {
  return new Map(revisions.chains().map(({ name }) => [name, revisions.confirmed(name)?.pinned]));
}
