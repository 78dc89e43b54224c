import { describe, expect, it } from "vitest";
import { findBroken, JUDGED_AFTER, type Measurements, parseCondition } from "../../runtime/generation/conditions.ts";

const measured = (frames: number, values: Partial<Measurements["values"]>): Measurements => ({
  frames,
  values: { divergence: null, "drop-rate": null, faults: null, "ns-per-packet": null, ...values },
});

describe("a condition", () => {
  it.each([
    ["divergence>0.1%", { measure: "divergence", limit: 0.001, after: JUDGED_AFTER }],
    [" drop-rate > 5 % after 20 ", { measure: "drop-rate", limit: 0.05, after: 20, text: "drop-rate > 5 % after 20" }],
    ["faults>0", { measure: "faults", limit: 0, after: 0 }],
    ["ns-per-packet>400", { measure: "ns-per-packet", limit: 400, after: JUDGED_AFTER }],
  ])("is read: %s", (text, condition) => {
    expect(parseCondition(text)).toMatchObject(condition);
  });

  it.each([
    ["", "is not a condition"],
    ["divergence", "is not a condition"],
    ["divergence<1%", "is not a condition"],
    ["divergence>1% after many", "is not a condition"],
    ["divergence>-1%", "is not a condition"],
    ["latency>5", "names no measure; there are divergence, drop-rate, faults, ns-per-packet"],
    ["divergence>1", "say it in per cent, divergence>1%"],
    ["faults>1%", "is not about a share"],
    ["drop-rate>100%", "can never hold"],
  ])("is refused with a reason: %s", (text, why) => {
    expect(() => parseCondition(text)).toThrow(`error[usage] --abort-on: "${text}" `);
    expect(() => parseCondition(text)).toThrow(why);
  });

  it("is broken above its limit, and not at it", () => {
    const conditions = [parseCondition("divergence>1%"), parseCondition("faults>0")];
    expect(findBroken(conditions, measured(5000, { divergence: 0.01, faults: 0 }))).toBeUndefined();
    expect(findBroken(conditions, measured(5000, { divergence: 0.0123, faults: 0 }))).toBe(
      "divergence is 1.23% (divergence>1%)",
    );
  });

  it("is not judged by a handful of frames, unless it says so", () => {
    const values = { divergence: 1, faults: 2 };
    expect(findBroken([parseCondition("divergence>1%")], measured(999, values))).toBeUndefined();
    expect(findBroken([parseCondition("divergence>1%")], measured(1000, values))).toBe(
      "divergence is 100% (divergence>1%)",
    );
    expect(findBroken([parseCondition("divergence>1% after 5")], measured(5, values))).toBeDefined();
    expect(findBroken([parseCondition("faults>1")], measured(0, values))).toBe("faults is 2 (faults>1)");
  });

  it("does not hold or fail for what was not measured", () => {
    expect(findBroken([parseCondition("ns-per-packet>1")], measured(5000, {}))).toBeUndefined();
  });
});
