// The run of an upgrade plan against actions that fail at random: each ends in one of four ways, with every undo in its
// place.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { UpgradePlan } from "../../runtime/generation/plan-document.ts";
import { type Note, type PlanActions, type PlanEnd, PlanRun } from "../../runtime/generation/plan-run.ts";

/** What becomes of each call, in order: `ok`, `fail`, or `late`: it goes on until its time is over. */
type Fate = "ok" | "fail" | "late";

interface Scenario {
  readonly retries: readonly number[];
  readonly prepare: "ok" | "fail";
  /** By step: what its attempts and its undos meet; `ok` when there are no more. */
  readonly attempts: readonly (readonly Fate[])[];
  readonly undos: readonly (readonly Fate[])[];
  readonly commit: "ok" | "fail";
  readonly fallBack: Fate;
  /** Somebody takes the plan back during the call of that number. */
  readonly abortAt?: number | undefined;
}

interface Run {
  readonly end: PlanEnd;
  /** `step 0`, `undo 0`, `commit`, `fallback`, `restore`, with `!` if it failed. */
  readonly calls: readonly string[];
  readonly notes: readonly Note[];
  /** Steps whose change is in place. */
  readonly inPlace: readonly number[];
}

/** A chain as a stack of changes: an undo takes the topmost back. */
class FakeChain implements PlanActions {
  readonly calls: string[] = [];
  inPlace: number[] = [];
  readonly #scenario: Scenario;
  readonly #attempts: Fate[][];
  readonly #undos: Fate[][];
  readonly #stop: AbortController;
  #late = new AbortController();

  constructor(scenario: Scenario, stop: AbortController) {
    this.#scenario = scenario;
    this.#stop = stop;
    this.#attempts = scenario.attempts.map((fates) => [...fates]);
    this.#undos = scenario.undos.map((fates) => [...fates]);
  }

  async prepare(): Promise<void> {
    await this.#meet("prepare", this.#scenario.prepare);
  }

  async carryOut(step: number, _attempt: number, signal: AbortSignal): Promise<void> {
    expect(this.inPlace).not.toContain(step);
    this.inPlace.push(step);
    await this.#meet(`step ${step}`, this.#attempts[step]?.shift() ?? "ok", signal);
  }

  async undo(step: number, signal: AbortSignal): Promise<void> {
    expect(this.inPlace.at(-1)).toBe(step);
    await this.#meet(`undo ${step}`, this.#undos[step]?.shift() ?? "ok", signal);
    this.inPlace.pop();
  }

  async commit(): Promise<void> {
    await this.#meet("commit", this.#scenario.commit);
  }

  async fallBack(signal: AbortSignal): Promise<void> {
    await this.#meet("fallback", this.#scenario.fallBack, signal);
    this.inPlace = [];
  }

  async restore(): Promise<void> {
    this.calls.push("restore");
    this.inPlace = [];
  }

  async wait(): Promise<void> {
    this.calls.push("wait");
  }

  /** The last limit that was asked for is that of the call which follows. */
  limit(_timeMs: number, reason: string): AbortSignal {
    const late = new AbortController();
    this.#late = { abort: () => late.abort(new Error(reason)), signal: late.signal };
    return late.signal;
  }

  async #meet(call: string, fate: Fate, signal?: AbortSignal): Promise<void> {
    this.calls.push(fate === "ok" ? call : `${call}!`);
    if (this.calls.length === this.#scenario.abortAt) this.#stop.abort(new Error("stop"));
    if (fate === "fail") throw new Error(`${call} failed`);
    if (fate === "ok") return;
    this.#late.abort();
    signal?.throwIfAborted();
  }
}

async function run(scenario: Scenario): Promise<Run> {
  const stop = new AbortController();
  const chain = new FakeChain(scenario, stop);
  const notes: Note[] = [];
  const end = await new PlanRun(planOf(scenario.retries), chain, (note) => notes.push(note)).run(stop.signal);
  return { end, calls: chain.calls, notes, inPlace: chain.inPlace };
}

function planOf(retries: readonly number[]): UpgradePlan {
  const change = { file: null, set: [], functions: [], use: [], cold: false, dryRun: false };
  const steps = retries.map((count, index) => {
    const step = { name: `group/${index}`, where: "", change, expectedMs: 1000, retries: count, waitMs: 1 };
    return { ...step, undo: { change: null, conditions: [] }, conditions: [] };
  });
  const limits = { expectedMs: 60_000, commit: "automatic", commitWithinMs: 60_000 } as const;
  return { name: "plan", description: "", chain: "chain", ...limits, conditions: [], steps };
}

const fine = { prepare: "ok", commit: "ok", fallBack: "ok", undos: [] } as const;

describe("a plan's run", () => {
  it("carries out step after step and commits once", async () => {
    const { end, calls } = await run({ ...fine, retries: [0, 0], attempts: [] });
    expect({ end, calls }).toEqual({ end: "committed", calls: ["prepare", "step 0", "step 1", "commit"] });
  });

  it("changes nothing if it cannot begin", async () => {
    const { end, calls } = await run({ ...fine, prepare: "fail", retries: [3], attempts: [] });
    expect({ end, calls }).toEqual({ end: "rolled-back", calls: ["prepare!"] });
  });

  it("undoes a failed step, waits, and tries again", async () => {
    const { end, calls } = await run({ ...fine, retries: [2], attempts: [["fail", "late"]] });
    const tries = ["step 0!", "undo 0", "wait", "step 0!", "undo 0", "wait", "step 0"];
    expect({ end, calls }).toEqual({ end: "committed", calls: ["prepare", ...tries, "commit"] });
  });

  it("undoes all in reverse after the last retry", async () => {
    const { end, calls, notes } = await run({ ...fine, retries: [0, 0, 0], attempts: [[], [], ["late"]] });
    const back = ["undo 2", "undo 1", "undo 0"];
    expect({ end, calls }).toEqual({
      end: "rolled-back",
      calls: ["prepare", "step 0", "step 1", "step 2!", ...back],
    });
    expect(notes.find(({ state }) => state === "failed")?.outcome).toBe("overrun: takes longer than 2s");
  });

  it("falls back if an undo fails or overruns, without another undo", async () => {
    for (const fate of ["fail", "late"] as const) {
      const scenario = { ...fine, retries: [0, 0, 3], attempts: [[], [], ["fail"]], undos: [[], [fate]] } as const;
      const failed = { ...scenario, attempts: [[], [], ["fail", "fail", "fail", "fail"]] } as const;
      const { end, calls } = await run(failed);
      expect({ end, last: calls.slice(-3) }).toEqual({ end: "fell-back", last: ["undo 2", "undo 1!", "fallback"] });
    }
  });

  it("is restored if the fallback fails", async () => {
    const scenario = { ...fine, retries: [1], attempts: [["fail"]], undos: [["fail"]] } as const;
    const { end, calls } = await run({ ...scenario, fallBack: "late" });
    expect({ end, calls }).toEqual({
      end: "restored",
      calls: ["prepare", "step 0!", "undo 0!", "fallback!", "restore"],
    });
  });

  it("is undone when nobody commits in time", async () => {
    const { end, calls } = await run({ ...fine, commit: "fail", retries: [0, 0], attempts: [] });
    expect({ end, last: calls.slice(-3) }).toEqual({ end: "rolled-back", last: ["commit!", "undo 1", "undo 0"] });
  });

  it("is undone when somebody takes it back, without retries", async () => {
    const scenario = { ...fine, retries: [5, 5], attempts: [] };
    const early = await run({ ...scenario, abortAt: 1 });
    expect(early).toMatchObject({ end: "rolled-back", calls: ["prepare"] });
    const { end, calls } = await run({ ...scenario, abortAt: 3 });
    expect({ end, calls }).toEqual({
      end: "rolled-back",
      calls: ["prepare", "step 0", "step 1", "undo 1", "undo 0"],
    });
  });
});

const fate = fc.constantFrom<Fate>("ok", "ok", "fail", "late");
const scenarios: fc.Arbitrary<Scenario> = fc.integer({ min: 1, max: 6 }).chain((steps) => {
  const fates = fc.array(fc.array(fate, { maxLength: 4 }), { minLength: steps, maxLength: steps });
  const mostly = fc.constantFrom<"ok" | "fail">("ok", "ok", "ok", "fail");
  return fc.record({
    retries: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: steps, maxLength: steps }),
    prepare: mostly,
    attempts: fates,
    undos: fates,
    commit: mostly,
    fallBack: fate,
    abortAt: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
  });
});

describe("a plan's run that fails at random", () => {
  it("ends in exactly one way, and nothing is in place but what was committed", async () => {
    const seen = new Map<PlanEnd, number>();
    await fc.assert(
      fc.asyncProperty(scenarios, async (scenario) => {
        const { end, calls, inPlace, notes } = await run(scenario);
        seen.set(end, (seen.get(end) ?? 0) + 1);
        const steps = scenario.retries.map((_, step) => step);
        expect(inPlace).toEqual(end === "committed" ? steps : []);
        expect(calls.filter((call) => call === "commit").length).toBe(end === "committed" ? 1 : 0);
        expect(calls.filter((call) => call.startsWith("fallback")).length).toBe(
          end === "fell-back" || end === "restored" ? 1 : 0,
        );
        expect(calls.includes("restore")).toBe(end === "restored");
        // A failed undo is the last of all steps and undos.
        const failedUndo = calls.findIndex((call) => /^undo .*!$/.test(call));
        expect(failedUndo >= 0).toBe(end === "fell-back" || end === "restored");
        if (failedUndo >= 0) expect(calls[failedUndo + 1]).toMatch(/^fallback/);
        // No step more often than it may.
        for (const step of steps) {
          const tries = calls.filter((call) => call.replace("!", "") === `step ${step}`).length;
          expect(tries).toBeLessThanOrEqual((scenario.retries[step] as number) + 1);
        }
        // Whatever failed, or was under way when it was taken back, has been written down as such.
        const failures = calls.filter((call) => /^step .*!$/.test(call)).length;
        const isStopped = /^step [^!]*$/.test(calls[(scenario.abortAt ?? 0) - 1] ?? "");
        expect(notes.filter(({ state }) => state === "failed").length).toBe(failures + (isStopped ? 1 : 0));
        expect(notes.filter(({ state }) => state === "aborting").length).toBe(end === "committed" ? 0 : 1);
      }),
      { numRuns: 3000 },
    );
    expect([...seen.keys()].toSorted()).toEqual(["committed", "fell-back", "restored", "rolled-back"]);
  });
});
