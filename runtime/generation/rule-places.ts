// Where in the operator's document a rule stands.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { Plan } from "../chain/plan.ts";
import { splitPointer } from "../chain/pointer.ts";
import { findRule } from "../chain/rules.ts";
import { parseSource, type SourceText } from "../chain/source-text.ts";
import type { TracedPacket, TracedRule } from "../dataplane/observe/trace-events.ts";

/** Reads the document when the first rule is looked for; a rule that it has otherwise by now is nowhere in it. */
export class RulePlaces {
  readonly #plan: Plan;
  readonly #file: string;
  #source: SourceText | null | undefined;

  constructor(plan: Plan, file: string) {
    this.#plan = plan;
    this.#file = file;
  }

  /** The packet with the rules that decided. */
  addTo(packet: TracedPacket): TracedPacket {
    return { ...packet, hops: packet.hops.map((hop) => ({ ...hop, rule: this.find(hop.function, hop.reason) })) };
  }

  /** The rule that the function meant by its reason; null if it meant none. */
  find(name: string, reason: string): TracedRule | null {
    const planned = this.#plan.functions.find((each) => each.name === name);
    const rule = planned === undefined ? null : findRule(planned.canaryOf ?? name, planned.config, reason);
    return rule === null ? null : { ...rule, where: this.#locate(rule.pointer, rule.value) };
  }

  #locate(pointer: string, value: unknown): string | null {
    if (this.#source === undefined) this.#source = readDocument(this.#file);
    if (this.#source === null) return null;
    const found = splitPointer(pointer).reduce<unknown>(
      (at, key) => (at as Readonly<Record<string, unknown>> | null)?.[key],
      this.#source.value,
    );
    return isDeepStrictEqual(found, value) ? this.#source.locate(pointer) : null;
  }
}

function readDocument(file: string): SourceText | null {
  try {
    return parseSource(readFileSync(file, "utf8"), file);
  } catch {
    return null;
  }
}
