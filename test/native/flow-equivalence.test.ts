// The flow engine in a real lane against the model: the same frames, the same answers.
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import { type FlowStep, flowSteps, playSteps } from "../support/flow-arbitraries.ts";
import { defaultTimeouts, FlowModel, type FlowModelConfig } from "../support/flow-model.ts";
import { openFlowPlayer } from "../support/flow-player.ts";
import { describeStep, type SeenStep } from "../support/flow-sight.ts";

const SEQUENCES = 100_000;
const START_NS = 1_000_000_000_000_000_000n;
const ESTABLISHED_S = 3600;

const { tcp } = defaultTimeouts;
const timeouts = { ...defaultTimeouts, tcp: { ...tcp, [abi.FLOW_STATE_ESTABLISHED]: ESTABLISHED_S } };
const config: FlowModelConfig = { zones: [0, 0, 9], capacity: 6, timeouts, midstream: true };

/** What the model says, and at last what ends when all timers have run out. */
function playModel(steps: readonly FlowStep[]) {
  const model = new FlowModel(config);
  const played = playSteps(model, steps, START_NS);
  const abandoned = model.expireFragments(2n ** 63n);
  const last = { abandoned, ended: model.expire(2n ** 63n) };
  return { played, expected: [...played, last].map((step) => describeStep(step, START_NS)) };
}

describe("any sequence of frames, second tuples and time that passes", () => {
  it(`has the engine find, count and end the same flows as the model (${SEQUENCES} sequences)`, async () => {
    const player = await openFlowPlayer(config.zones, {
      capacity: config.capacity,
      liberal: true,
      timeouts: { tcp: { established: ESTABLISHED_S, unacknowledged: ESTABLISHED_S } },
    });
    onTestFinished(() => player.close());
    fc.assert(
      fc.property(flowSteps(12), (steps) => {
        const { played, expected } = playModel(steps);
        const seen = player.play(steps, played);
        if (!isSame(seen, expected)) expect(seen).toEqual(expected);
      }),
      { numRuns: SEQUENCES },
    );
    expect(player.lane.audit()).toMatchObject({ free: 256, intact: true, doubleFrees: 0 });
  }, 240_000);
});

const textOf = (steps: readonly SeenStep[]) =>
  JSON.stringify(steps, (_, value) => (typeof value === "bigint" ? `${value}` : value));
const isSame = (one: readonly SeenStep[], other: readonly SeenStep[]) => textOf(one) === textOf(other);
