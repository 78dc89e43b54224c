// The telemetry of one chain besides its metrics: reads the lane's reports some times a second, and hands them to the
// EVE log, the IPFIX exporter and whoever listens. Follows the engine when it is started again.
import { isDeepStrictEqual } from "node:util";
import type { TelemetrySettings } from "../chain/telemetry.ts";
import type { NativeAddon } from "../dataplane/native.ts";
import type { DropSampling } from "../dataplane/reports.ts";
import type { FoundEngine } from "../dataplane/state-folder.ts";
import { EveLog } from "./eve-log.ts";
import { FollowedEngine } from "./followed-engine.ts";
import { IpfixExporter, type IpfixStatistics } from "./ipfix-exporter.ts";
import type { Report } from "./report-reader.ts";

export interface ChainTelemetryParts {
  readonly native: Pick<NativeAddon, "attachSegment" | "flowStatesOffset" | "openSegment" | "parse">;
  /** Tells the engine with that state folder which drops to report. */
  readonly requestSampling: (folder: string, sampling: DropSampling) => Promise<void>;
  /** What somebody should see to: a log that cannot be written. */
  readonly complain: (what: string) => void;
}

export interface TelemetryStatistics {
  /** Reports that were read, by kind. */
  readonly read: Readonly<Record<Report["kind"], number>>;
  /** Reports that were overwritten before. */
  readonly lost: number;
  readonly eve: { readonly written: number; readonly lost: number } | null;
  readonly ipfix: IpfixStatistics | null;
}

const POLL_MS = 100;
/** Every so many polls the engine is looked for. */
const REFRESH_POLLS = 10;
/** In one poll; others have their turn between them. */
const READS = 5;

export class ChainTelemetry {
  readonly #parts: ChainTelemetryParts;
  readonly #engine: FollowedEngine;
  readonly #listeners = new Set<(report: Report) => void>();
  readonly #read = { flow: 0, drop: 0, event: 0 };
  #settings: TelemetrySettings;
  #eve: EveLog | undefined;
  #ipfix: IpfixExporter | undefined;
  #lostBefore = { eve: 0, ipfix: 0 };
  #lostReports = 0;
  #timer: NodeJS.Timeout;
  #polls = 0;
  #polling: Promise<void> = Promise.resolve();
  /** What the engine has been told, and runs with unless it began anew. */
  #sampling: DropSampling | undefined;

  static start(parts: ChainTelemetryParts, found: FoundEngine, settings: TelemetrySettings): ChainTelemetry {
    return new ChainTelemetry(parts, found, settings);
  }

  private constructor(parts: ChainTelemetryParts, found: FoundEngine, settings: TelemetrySettings) {
    this.#parts = parts;
    this.#engine = new FollowedEngine(parts.native, found);
    this.#settings = settings;
    this.#open(settings);
    this.#timer = this.#plan();
  }

  get settings(): TelemetrySettings {
    return this.#settings;
  }

  get statistics(): TelemetryStatistics {
    return {
      read: { ...this.#read },
      lost: this.#engine.lost,
      eve: this.#eve?.statistics ?? null,
      ipfix: this.#ipfix?.statistics ?? null,
    };
  }

  /** By queue: what it had no room for, for /metrics. Never goes back. */
  get overflows(): Readonly<Record<string, number>> {
    return {
      reports: this.#engine.lost,
      eve: this.#lostBefore.eve + (this.#eve?.statistics.lost ?? 0),
      ipfix: this.#lostBefore.ipfix + (this.#ipfix?.statistics.lost ?? 0),
    };
  }

  /** From now on, with what has changed. */
  async apply(settings: TelemetrySettings): Promise<void> {
    const before = this.#settings;
    this.#settings = settings;
    const closing: Promise<void>[] = [];
    if (!isDeepStrictEqual(before.eve, settings.eve)) closing.push(this.#closeEve());
    if (!isDeepStrictEqual(before.ipfix, settings.ipfix)) closing.push(this.#closeIpfix());
    this.#open(settings);
    await Promise.all([...closing, this.#sample()]);
  }

  /** `listener` gets every report that comes, until what this returns is called. */
  subscribe(listener: (report: Report) => void): () => void {
    this.#engine.attachReports();
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (!this.#isWanted) this.#engine.forgetReports();
    };
  }

  /** What has been reported until now is written and sent. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#polling;
    clearTimeout(this.#timer);
    await this.#poll();
    await Promise.all([this.#closeEve(), this.#closeIpfix()]);
    this.#listeners.clear();
  }

  #open({ eve, ipfix }: TelemetrySettings): void {
    const { native, complain } = this.#parts;
    if (eve !== null) this.#eve ??= new EveLog(native, eve, complain);
    if (ipfix !== null) this.#ipfix ??= new IpfixExporter(ipfix);
    if (this.#isWanted) this.#engine.attachReports();
    else this.#engine.forgetReports();
  }

  get #isWanted(): boolean {
    return this.#eve !== undefined || this.#ipfix !== undefined || this.#listeners.size > 0;
  }

  #plan(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#polling = this.#poll().finally(() => {
        this.#timer = this.#plan();
      });
    }, POLL_MS).unref();
  }

  async #poll(): Promise<void> {
    if (this.#polls++ % REFRESH_POLLS === 0) {
      if (this.#engine.refresh()) this.#sampling = undefined;
      await this.#sample();
    }
    if (!this.#isWanted) return;
    this.#beginExport();
    for (let reads = 0; reads < READS; reads++) {
      const reports = this.#engine.readReports();
      if (reports.length === 0) break;
      this.#handOut(reports);
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#finishExport();
  }

  #beginExport(): void {
    if (this.#ipfix === undefined) return;
    const { flows, found } = this.#engine;
    const interfaces = found.engine.ports.map(({ ifindex }) => ifindex);
    this.#ipfix.begin(flows === undefined ? undefined : { exported: flows.exported, interfaces });
  }

  #handOut(reports: readonly Report[]): void {
    this.#eve?.add(reports);
    for (const report of reports) {
      this.#read[report.kind] += 1;
      if (report.kind === "flow") this.#ipfix?.end(report);
      for (const listener of this.#listeners) this.#tell(listener, report);
    }
  }

  #tell(listener: (report: Report) => void, report: Report): void {
    try {
      listener(report);
    } catch (error) {
      this.#parts.complain(`a listener failed: ${(error as Error).message}`);
    }
  }

  /** Flows that go on come after those that have ended, so that none is taken for both. */
  #finishExport(): void {
    const { lost, flows } = this.#engine;
    this.#ipfix?.noteLost(lost - this.#lostReports);
    this.#lostReports = lost;
    if (flows !== undefined) this.#ipfix?.sweep(flows.table);
    this.#ipfix?.flush();
    this.#engine.noteRead();
  }

  /** An engine that does not answer is asked again at the next look. */
  async #sample(): Promise<void> {
    const { drops } = this.#settings;
    if (isDeepStrictEqual(this.#sampling, drops)) return;
    const isDone = await this.#parts.requestSampling(this.#engine.found.path, drops).then(
      () => true,
      () => false,
    );
    if (isDone) this.#sampling = drops;
  }

  async #closeEve(): Promise<void> {
    const closing = this.#eve;
    if (closing === undefined) return;
    this.#eve = undefined;
    const before = closing.statistics.lost;
    this.#lostBefore.eve += before;
    await closing.close();
    this.#lostBefore.eve += closing.statistics.lost - before;
  }

  async #closeIpfix(): Promise<void> {
    const closing = this.#ipfix;
    if (closing === undefined) return;
    this.#ipfix = undefined;
    const before = closing.statistics.lost;
    this.#lostBefore.ipfix += before;
    await closing.stop();
    this.#lostBefore.ipfix += closing.statistics.lost - before;
  }
}
