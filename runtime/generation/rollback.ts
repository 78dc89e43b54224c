// Back from a generation that had the traffic: what becomes of the connections that began under it.
import { countLanes } from "../chain/plan.ts";
import { listStateChanges } from "../chain/state-changes.ts";
import type { Engine } from "../dataplane/engine/engine.ts";
import type { MigrationResult } from "../dataplane/generation.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { SluiceError } from "../errors.ts";
import { FlowTables } from "../telemetry/flow-tables.ts";
import type { Change } from "./change.ts";

export interface Rollback {
  /** Live flows that began since the switchover. */
  readonly flows: number;
  /** Segments and columns in which they have no state now: `segment table of fw`. */
  readonly lost: readonly string[];
  /** What nf_migrate of the versions before could not carry back. */
  readonly migrations: readonly MigrationResult[];
  /** Why their nf_migrate was not used; null if it was, or there was nothing to do. */
  readonly refused: string | null;
}

/**
 * The generation `from`, of `running`, has the lane again instead of that of `change`; where the layouts differ and the
 * version before can migrate back, a new copy of it that has what came since.
 */
export async function rollBack(
  engine: Engine,
  { running, change, from, sinceNs }: { running: Change; change: Change; from: number; sinceNs: bigint },
): Promise<Rollback> {
  const flows = countFlowsSince(engine, sinceNs);
  const changes = listStateChanges(change.plan, running.plan).filter(({ function: owner }) =>
    change.plan.functions.some(({ name }) => name === owner),
  );
  const nameOf = ({ kind, name, function: owner }: (typeof changes)[number]) => `${kind} ${name} of ${owner}`;
  const lost = changes.filter(({ outcome }) => outcome === "lost" || outcome === "new").map(nameOf);
  const migrated = changes.filter(({ outcome }) => outcome === "migrated").map(nameOf);
  if (migrated.length === 0) {
    await engine.switchTo(from);
    return { flows, lost, migrations: [], refused: null };
  }
  try {
    const { generation, migrations } = await engine.load(running.plan, running.packages);
    await engine.switchTo(generation);
    await engine.retire(from);
    return { flows, lost, migrations, refused: null };
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    await engine.switchTo(from);
    return { flows, lost: [...lost, ...migrated], migrations: [], refused: error.message };
  }
}

function countFlowsSince({ folder, running }: Engine, sinceNs: bigint): number {
  const native = loadAddon();
  const { capacity } = running.plan.flows;
  const size = { flowCapacity: capacity, lanes: countLanes(running.plan) };
  return FlowTables.attach(native, folder, size).countSince(sinceNs);
}

/** For the history: `3 flows began since; lost: segment table of fw`. */
export function describeRollback({ flows, lost, migrations, refused }: Rollback): string {
  const parts = [
    ...(flows > 0 ? [`${flows} flows began since`] : []),
    ...(lost.length > 0 ? [`back as it was: ${lost.join(", ")}`] : []),
    ...migrations.map(({ function: owner, segments, lost: entries }) => {
      const what = `${segments.join(", ")} of ${owner} migrated back`;
      return entries === null ? `${what}: trapped, back as it was` : `${what}, ${entries} entries not`;
    }),
    ...(refused === null ? [] : [`the versions before did not start anew: ${refused}`]),
  ];
  return parts.join("; ") || "ok";
}
