// What lanes know of hosts, when they learn and look at the same moment.
import { afterAll, expect, it } from "vitest";
import { LineHarness } from "../support/line-harness.ts";

const harness = new LineHarness("host_table_harness");
afterAll(() => harness.close());

const HOSTS = 8192;

it("finds most hosts of a full table, each with what was said of it", async () => {
  const { found, torn } = (await harness.ask("1 20")) as { found: number; torn: number };
  expect(torn).toBe(0);
  expect(found).toBeGreaterThan(10 * HOSTS);
});

it("never mixes what several lanes say at the same moment", async () => {
  const { found, torn } = (await harness.ask("4 20")) as { found: number; torn: number };
  expect(torn).toBe(0);
  expect(found).toBeGreaterThan(20 * HOSTS);
}, 60_000);
