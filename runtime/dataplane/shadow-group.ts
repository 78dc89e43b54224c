// The shadow of a generation on all lanes of a chain: one for each, and what they find as one.
import { DIFFERENCE_EXAMPLES } from "./layout.ts";
import type { Shadow, ShadowReport } from "./shadow.ts";
import type { Difference } from "./shadow-protocol.ts";

export class ShadowGroup {
  /** With each report of any lane, some times a second, and at its end. */
  onReport: ((report: ShadowReport) => void) | undefined;
  readonly #shadows: Shadow[] = [];

  /** Begins to start one on each lane; throws what the first that cannot be started throws, with the others ended. */
  constructor(starts: readonly (() => Shadow)[]) {
    try {
      for (const start of starts) this.#shadows.push(start());
    } catch (error) {
      void this.end();
      throw error;
    }
    for (const shadow of this.#shadows) shadow.onReport = () => this.#tell(shadow);
  }

  /** Resolves when all follow the traffic. Throws what keeps one from that, with all ended. */
  async started(): Promise<void> {
    try {
      await Promise.all(this.#shadows.map((shadow) => shadow.started()));
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  get report(): ShadowReport {
    return joinReports(this.#shadows.map(({ report }) => report));
  }

  /** Lets go of the lanes at once, and ends the threads wherever they are. */
  async end(): Promise<void> {
    await Promise.all(this.#shadows.map((shadow) => shadow.end()));
  }

  /** What one has not seen, the others cannot make up for. */
  #tell(shadow: Shadow): void {
    if (shadow.report.state === "ended") void this.end();
    this.onReport?.(this.report);
  }
}

export function joinReports(reports: readonly ShadowReport[]): ShadowReport {
  const sum = (pick: (report: ShadowReport) => number) => reports.reduce((all, report) => all + pick(report), 0);
  const frames = sum((report) => report.frames);
  return {
    state: stateOf(reports),
    why: reports.map(({ why }) => why).find((why) => why !== null) ?? null,
    frames,
    compared: sum(({ compared }) => compared),
    differing: sum(({ differing }) => differing),
    skipped: sum(({ skipped }) => skipped),
    dropped: sum(({ dropped }) => dropped),
    faults: sum(({ faults }) => faults),
    missed: sum(({ missed }) => missed),
    copiedBytes: sum(({ copiedBytes }) => copiedBytes),
    pauseUs: Math.max(...reports.map(({ pauseUs }) => pauseUs)),
    nsPerPacket: frames === 0 ? null : sum((report) => (report.nsPerPacket ?? 0) * report.frames) / frames,
    differences: joinDifferences(reports.flatMap(({ differences }) => differences)),
  };
}

function stateOf(reports: readonly ShadowReport[]): ShadowReport["state"] {
  const states = reports.map(({ state }) => state);
  if (states.includes("ended")) return "ended";
  return states.includes("starting") ? "starting" : "following";
}

/** Flows are those of one lane: none is counted twice. */
function joinDifferences(all: readonly Difference[]): Difference[] {
  const groups = Map.groupBy(all, ({ live, next, rewrite }) => JSON.stringify([live, next, rewrite]));
  return [...groups.values()].map((same) => ({
    ...(same[0] as Difference),
    frames: same.reduce((sum, { frames }) => sum + frames, 0),
    flows: same.reduce((sum, { flows }) => sum + flows, 0),
    examples: same.flatMap(({ examples }) => examples).slice(0, DIFFERENCE_EXAMPLES),
  }));
}
