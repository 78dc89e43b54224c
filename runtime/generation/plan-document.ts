// Reads an upgrade plan: text in, checked steps out, each fault with its place in the text.
import { dirname, resolve } from "node:path";
import { type Report, throwFaults } from "../chain/faults.ts";
import { extendPointer } from "../chain/pointer.ts";
import { findSchemaFaults } from "../chain/schema-faults.ts";
import { parseSource } from "../chain/source-text.ts";
import type { Fault } from "../errors.ts";
import { type Condition, lastsMs, type PacketText, readConditions, readTime, SETTLE_MS } from "./plan-conditions.ts";
import {
  type ChangeDeclaration,
  type GroupDeclaration,
  type PlanDeclaration,
  planSchema,
  type StepDeclaration,
} from "./plan-schema.ts";
import { formatTime } from "./time-text.ts";
import type { ChangeRequest } from "./upgrade-socket.ts";

export interface UpgradePlan {
  readonly name: string;
  readonly description: string;
  readonly chain: string;
  readonly expectedMs: number;
  readonly commit: "automatic" | "operator";
  readonly commitWithinMs: number;
  /** Hold before the plan, after each step, each undo and a fallback. */
  readonly conditions: readonly Condition[];
  readonly steps: readonly PlanStep[];
}

export interface PlanStep {
  /** `group/step`. */
  readonly name: string;
  /** `file:line:column`. */
  readonly where: string;
  readonly change: ChangeRequest;
  readonly expectedMs: number;
  readonly retries: number;
  readonly waitMs: number;
  readonly undo: {
    /** Null: the generation before has the traffic again. */
    readonly change: ChangeRequest | null;
    readonly conditions: readonly Condition[];
  };
  /** Its group's and its own. */
  readonly conditions: readonly Condition[];
}

/** What takes more than so many times its expected duration is a failure. */
export const OVERRUN = 2;

const COMMIT_WITHIN = "10m";

/** YAML or JSON; files are relative to `file`. Throws all that is wrong with it. */
export function parsePlan(text: string, file: string, packets: PacketText): UpgradePlan {
  const source = parseSource(text, file);
  throwFaults([...source.faults, ...findSchemaFaults(source.value, planSchema, "document-schema", source.locate)]);
  const faults: Fault[] = [];
  const report: Report = (code, pointer, what, help) =>
    faults.push({ code, where: source.locate(pointer), what, help, pointer });
  const declaration = source.value as PlanDeclaration;
  const reader = new PlanReader(dirname(resolve(file)), source.locate, packets, report);
  const plan = reader.read(declaration);
  throwFaults(faults);
  return plan;
}

class PlanReader {
  readonly #folder: string;
  readonly #locate: (pointer: string) => string;
  readonly #packets: PacketText;
  readonly #report: Report;

  constructor(folder: string, locate: (pointer: string) => string, packets: PacketText, report: Report) {
    this.#folder = folder;
    this.#locate = locate;
    this.#packets = packets;
    this.#report = report;
  }

  read(declaration: PlanDeclaration): UpgradePlan {
    const { plan: name, description = "", chain, commit = "automatic", groups } = declaration;
    const conditions = readConditions(declaration.conditions, "/conditions", this.#packets, this.#report);
    this.#requireDistinct(groups, "/groups", "groups");
    const steps = groups.flatMap((group, index) => this.#readGroup(group, extendPointer("/groups", index), conditions));
    const expectedMs = readTime(declaration.expected, "/expected", this.#report);
    const sumMs = steps.reduce((sum, step) => sum + step.expectedMs, 0);
    if (sumMs > expectedMs) {
      const what = `the steps add up to ${formatTime(sumMs)}, more than the ${formatTime(expectedMs)} of the plan`;
      this.#report("document-schema", "/expected", what);
    }
    const limit = planSchema.properties.groups.maxItems;
    if (steps.length > limit) this.#report("document-schema", "/groups", `${steps.length} steps, at most ${limit}`);
    const commitWithinMs = readTime(declaration.commitWithin ?? COMMIT_WITHIN, "/commitWithin", this.#report);
    return { name, description, chain, expectedMs, commit, commitWithinMs, conditions, steps };
  }

  #readGroup(group: GroupDeclaration, pointer: string, always: readonly Condition[]): PlanStep[] {
    const conditions = this.#readConditions(group, pointer);
    this.#requireDistinct(group.steps, `${pointer}/steps`, "steps of one group");
    return group.steps.map((step, index) => {
      const place = extendPointer(pointer, "steps", index);
      return this.#readStep(step, `${group.name}/${step.name}`, place, conditions, always);
    });
  }

  #readStep(
    step: StepDeclaration,
    name: string,
    pointer: string,
    ofGroup: readonly Condition[],
    always: readonly Condition[],
  ): PlanStep {
    const expectedMs = readTime(step.expected, `${pointer}/expected`, this.#report);
    const conditions = [...ofGroup, ...this.#readConditions(step, pointer)];
    if (expectedMs <= SETTLE_MS) {
      const what = `a step takes longer than ${step.expected}: each is watched for ${formatTime(SETTLE_MS)}`;
      this.#report("document-schema", `${pointer}/expected`, what);
    }
    const slowest = [...always, ...conditions].toSorted((a, b) => lastsMs(b) - lastsMs(a))[0];
    if (slowest !== undefined && lastsMs(slowest) >= expectedMs) {
      const what = `${step.expected} is not longer than its condition takes: ${slowest.text}`;
      this.#report("document-schema", `${pointer}/expected`, what);
    }
    const { conditions: _, ...changed } = step.undo ?? {};
    const undo = {
      change: Object.keys(changed).length === 0 ? null : this.#readChange(changed),
      conditions: this.#readConditions(step.undo ?? {}, `${pointer}/undo`),
    };
    return {
      ...{ name, where: this.#locate(pointer), change: this.#readChange(step.change), expectedMs },
      ...{ retries: step.retries ?? 0, undo, conditions },
      waitMs: readTime(step.wait ?? "1s", `${pointer}/wait`, this.#report),
    };
  }

  #readConditions(owner: Pick<StepDeclaration, "conditions">, pointer: string): Condition[] {
    return readConditions(owner.conditions, `${pointer}/conditions`, this.#packets, this.#report);
  }

  #readChange({ document, use = {}, set = {}, functions = [], cold = false }: ChangeDeclaration): ChangeRequest {
    return {
      file: document === undefined ? null : resolve(this.#folder, document),
      use: Object.entries(use).map(([name, reference]) => `${name}=${reference}`),
      set: Object.entries(set).map(([key, value]) => `${key}=${JSON.stringify(this.#resolveFiles(value))}`),
      functions: functions.map((folder) => resolve(this.#folder, folder)),
      cold,
      dryRun: false,
    };
  }

  /** `@file` is relative to the plan, not to where the engine runs. */
  #resolveFiles(value: unknown): unknown {
    if (typeof value === "string")
      return value.replace(/^@(?!@)(.+)$/s, (_, path) => `@${resolve(this.#folder, path)}`);
    if (Array.isArray(value)) return value.map((each) => this.#resolveFiles(each));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, this.#resolveFiles(each)]));
  }

  #requireDistinct(named: readonly { readonly name: string }[], pointer: string, what: string): void {
    named.forEach(({ name }, index) => {
      if (named.findIndex((other) => other.name === name) === index) return;
      this.#report("document-schema", extendPointer(pointer, index, "name"), `two ${what} have the name "${name}"`);
    });
  }
}
