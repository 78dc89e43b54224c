// The telemetry of all chains that run: metrics on request; logs, exports and what clients listen to as it happens.

import type { ChainDocument } from "../chain/schema.ts";
import { planTelemetry, type TelemetrySettings } from "../chain/telemetry.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { findEngines } from "../dataplane/state-folder.ts";
import { upgradeStates } from "../generation/history.ts";
import { requestSampling } from "../generation/sampling-socket.ts";
import { ChainTelemetry } from "../telemetry/chain-telemetry.ts";
import { formatReport } from "../telemetry/eve-reports.ts";
import { type ChainState, Metrics } from "../telemetry/metrics.ts";
import type { Report } from "../telemetry/report-reader.ts";
import * as engines from "./engines.ts";

/** Alerts and drops that a client finds who comes late. */
const KEPT = 256;

interface Watched {
  readonly telemetry: ChainTelemetry;
  /** From the first time that somebody asked: to look for reports all the time costs more than all else. */
  recent: object[] | undefined;
}

export interface TelemetrySetup {
  readonly version: string;
  /** The document that runs; undefined if the chain is not declared. */
  readonly documentOf: (chain: string) => ChainDocument | undefined;
  readonly complain: (what: string) => void;
}

export class Telemetry {
  readonly #setup: TelemetrySetup;
  readonly #native = loadAddon();
  readonly #metrics: Metrics;
  readonly #watched = new Map<string, Watched>();
  #syncing: Promise<void> = Promise.resolve();

  constructor(setup: TelemetrySetup) {
    this.#setup = setup;
    this.#metrics = new Metrics(this.#native, setup.version);
  }

  /** What runs now is watched, with the settings that are declared now. */
  sync(): Promise<void> {
    const synced = this.#syncing.then(() => this.#sync());
    this.#syncing = synced.catch(() => {});
    return synced;
  }

  async render(): Promise<string> {
    const found = findEngines();
    const states = new Map<string, ChainState>();
    for (const { engine } of found) states.set(engine.chain, await this.#describe(engine.chain));
    return this.#metrics.render(found, (chain) => states.get(chain));
  }

  /** Those since the first time that somebody asked for any; newest last. */
  recent(chain: string): readonly object[] {
    const watched = this.#watched.get(chain);
    return watched === undefined ? [] : this.#keepRecent(watched);
  }

  /** Every report from now on, in the form of EVE, until `signal`. Nothing comes of a chain that does not run. */
  async listen(
    chain: string,
    kinds: readonly Report["kind"][],
    listener: (event: object) => void,
    signal: AbortSignal,
  ): Promise<void> {
    // It may have begun to run just now.
    if (!this.#watched.has(chain)) await this.sync();
    const watched = this.#watched.get(chain);
    if (watched === undefined || signal.aborted) return;
    this.#keepRecent(watched);
    const deafen = watched.telemetry.subscribe((report) => {
      if (kinds.includes(report.kind)) listener(this.#format(report));
    });
    signal.addEventListener("abort", deafen);
  }

  async close(): Promise<void> {
    await this.#syncing;
    await Promise.all([...this.#watched.values()].map(({ telemetry }) => telemetry.stop()));
    this.#watched.clear();
  }

  async #sync(): Promise<void> {
    const found = findEngines();
    for (const each of found) {
      const { chain } = each.engine;
      const settings = this.#settingsOf(chain);
      const watched = this.#watched.get(chain);
      if (watched === undefined) this.#watch(each, settings);
      else if (JSON.stringify(watched.telemetry.settings) !== JSON.stringify(settings)) {
        await watched.telemetry.apply(settings);
      }
    }
    for (const [chain, { telemetry }] of this.#watched) {
      // An engine that is about to be started again is followed.
      if (found.some(({ engine }) => engine.chain === chain) || this.#setup.documentOf(chain) !== undefined) continue;
      this.#watched.delete(chain);
      await telemetry.stop();
    }
  }

  #watch(found: ReturnType<typeof findEngines>[number], settings: TelemetrySettings): void {
    const parts = { native: this.#native, requestSampling, complain: this.#setup.complain };
    const telemetry = ChainTelemetry.start(parts, found, settings);
    this.#watched.set(found.engine.chain, { telemetry, recent: undefined });
  }

  #keepRecent(watched: Watched): readonly object[] {
    if (watched.recent !== undefined) return watched.recent;
    const recent: object[] = [];
    watched.recent = recent;
    watched.telemetry.subscribe((report) => {
      if (report.kind === "flow") return;
      recent.push(this.#format(report));
      if (recent.length > KEPT) recent.shift();
    });
    return recent;
  }

  #settingsOf(chain: string): TelemetrySettings {
    return planTelemetry(this.#setup.documentOf(chain) ?? {});
  }

  #format(report: Report): object {
    return JSON.parse(formatReport(this.#native, report)) as object;
  }

  async #describe(chain: string): Promise<ChainState> {
    const status = await engines.statusOf(chain).catch(() => undefined);
    const watched = this.#watched.get(chain);
    return {
      ...(status !== undefined && { upgrade: { state: status.state, states: upgradeStates } }),
      metrics: this.#settingsOf(chain).metrics,
      ...(watched !== undefined && { overflows: watched.telemetry.overflows }),
    };
  }
}
