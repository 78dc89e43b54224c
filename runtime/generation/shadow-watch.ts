// A shadow during an upgrade: what it found so far, and whether a condition is broken.
import type { ShadowReport } from "../dataplane/shadow.ts";
import type { ShadowGroup } from "../dataplane/shadow-group.ts";
import type { Difference } from "../dataplane/shadow-protocol.ts";
import { type Condition, findBroken } from "./conditions.ts";
import { nameFlow } from "./flow-name.ts";

/** Frames that ended in the same two ways, in words. */
export interface DifferenceStatus extends Omit<Difference, "examples"> {
  readonly examples: readonly {
    /** Of the frame, among all that the lane received. */
    readonly number: number;
    readonly flow: string;
    /** As it came. */
    readonly packet: string;
    /** As it left, where that is not the same on both sides; null if it did not leave. */
    readonly live?: string | null;
    readonly next?: string | null;
  }[];
}

export interface ShadowStatus extends Omit<ShadowReport, "differences"> {
  readonly conditions: readonly string[];
  readonly differences: readonly DifferenceStatus[];
}

/** The line for a frame. */
export type DescribePacket = (bytes: Uint8Array) => string;

export class ShadowWatch {
  readonly #shadow: ShadowGroup;
  readonly #conditions: readonly Condition[];
  readonly #describe: DescribePacket;

  /** `onBroken` is told of each report that breaks a condition. */
  constructor(
    shadow: ShadowGroup,
    conditions: readonly Condition[],
    describe: DescribePacket,
    onBroken: (why: string) => void,
  ) {
    this.#shadow = shadow;
    this.#conditions = conditions;
    this.#describe = describe;
    shadow.onReport = (report) => {
      const why = findBroken(conditions, measure(report));
      if (why !== undefined) onBroken(`shadow: ${why}`);
    };
  }

  get status(): ShadowStatus {
    const { differences, ...report } = this.#shadow.report;
    return {
      ...report,
      conditions: this.#conditions.map(({ text }) => text),
      differences: differences.map((difference) => describeDifference(difference, this.#describe)),
    };
  }
}

function measure({ frames, compared, differing, dropped, faults, nsPerPacket }: ShadowReport) {
  const values = {
    divergence: compared === 0 ? null : differing / compared,
    "drop-rate": frames === 0 ? null : dropped / frames,
    faults,
    "ns-per-packet": nsPerPacket,
  };
  return { frames, values };
}

function describeDifference(difference: Difference, describe: DescribePacket): DifferenceStatus {
  const examples = difference.examples.map(({ number, received, live, next }) => {
    const left = (bytes: Uint8Array | null) => (bytes === null ? null : describe(bytes));
    const example = { number, flow: nameFlow(received), packet: describe(received) };
    return difference.rewrite === null ? example : { ...example, live: left(live), next: left(next) };
  });
  return { ...difference, examples };
}
