// Replays of captures from elsewhere with changes of generation between their frames, against replays without: the same
// results, byte for byte.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSwap, readSwapEvery, requireSwappable } from "../../runtime/cli/replay-options.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { ReplayStats } from "../../runtime/dataplane/replay/stats.ts";
import { replay } from "../../runtime/dataplane/replay.ts";
import { type LoadedChain, loadChain, replanWith } from "../../runtime/function/load-chain.ts";
import { buildRememberingAcl } from "../support/remembering-acl.ts";
import { projectRoot } from "../support/run-sluice.ts";

const data = join(projectRoot, "../shared/conformance");
const skipped = existsSync(data) ? "" : " (skipped: needs the captures in ../shared/conformance)";
const CAPTURES = 20;

interface Swaps {
  readonly swap?: readonly string[];
  readonly swapEvery?: string;
}

interface Replayed {
  readonly stats: ReplayStats;
  /** By name; of stats.json without what swaps themselves change in it. */
  readonly files: Readonly<Record<string, string>>;
}

describe.skipIf(skipped !== "")(`captures of third parties, with changes between their frames${skipped}`, () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sluice-swaps-"));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const load = (functions: string, packages?: string) => {
    const file = join(folder, "chain.yaml");
    const paths = `paths: [{ from: a, through: [${/^\w+/.exec(functions)?.[0]}], to: b }]`;
    const ports = "ports: { a: { device: any }, b: { device: any } }";
    writeFileSync(file, `chain: swaps\n${ports}\nfunctions: { ${functions} }\n${paths}\n`);
    return loadChain(file, packages === undefined ? {} : { functions: [packages] });
  };

  const run = async (chain: LoadedChain, capture: string, swaps: Swaps = {}): Promise<Replayed> => {
    const out = join(folder, "out");
    rmSync(out, { recursive: true, force: true });
    const planned = (swaps.swap ?? []).map((text) => readSwap(chain, text));
    const swapEvery = swaps.swapEvery === undefined ? undefined : readSwapEvery(chain, swaps.swapEvery);
    const replan = (packages: LoadedChain["packages"]) => replanWith(chain, packages);
    requireSwappable(chain, swapEvery === undefined ? planned : [...planned, swapEvery], replan);
    const stats = await replay({
      native: loadAddon(),
      ...{ plan: chain.plan, packages: chain.packages, inputs: [[capture], []], out, batch: 1, lanes: 1 },
      ...{ swaps: planned, swapEvery, faults: [], replan },
    });
    const names = readdirSync(out).toSorted();
    return { stats, files: Object.fromEntries(names.map((name) => [name, readResult(join(out, name), name)])) };
  };

  /** The first that can be replayed, at even distances among all of a folder. */
  const choose = async (chain: LoadedChain, kind: "flows/pcaps" | "captures", frames = 1) => {
    const names = readdirSync(join(data, kind)).filter((name) => /\.pcap(ng)?$/.test(name));
    const step = Math.max(1, Math.floor(names.length / (2 * CAPTURES)));
    const chosen: { capture: string; plain: Replayed }[] = [];
    for (let at = 0; at < names.length && chosen.length < CAPTURES; at += step) {
      const capture = join(data, kind, names[at] as string);
      const plain = await run(chain, capture).catch(() => null);
      if (plain !== null && countFrames(plain) >= frames) chosen.push({ capture, plain });
    }
    expect(chosen).toHaveLength(CAPTURES);
    return chosen;
  };

  it.each(["flows/pcaps", "captures"] as const)(
    "%s: the same with a change after every frame",
    async (kind) => {
      const chain = load("count: { use: hello@* }");
      let changes = 0;
      for (const { capture, plain } of await choose(chain, kind)) {
        const swapped = await run(chain, capture, { swapEvery: "1:count=hello@*" });
        expect(swapped.files, capture).toEqual(plain.files);
        expect(swapped.stats.swaps).toBe(countFrames(plain));
        changes += swapped.stats.swaps;
      }
      console.log(`${kind}: ${CAPTURES} captures, ${changes} changes`);
    },
    120_000,
  );

  describe("an access list that remembers", () => {
    const rules =
      "{ action: deny, ipProtos: [udp], destinationPorts: [53, 137-138] }, { action: deny, ipProtos: [icmp] }";
    const fw = `fw: { use: acl@1.0.0, config: { default: permit, rules: [${rules}] } }`;
    let chain: LoadedChain;

    beforeAll(async () => {
      const packages = await buildRememberingAcl(folder, [
        { version: "1.0.0", layout: 1, migration: "carries" },
        { version: "1.1.0", layout: 2, migration: "carries" },
        { version: "1.2.0", layout: 2, migration: "forgets" },
      ]);
      chain = load(fw, packages);
    });

    it("is the same to another layout and back, three times and every few frames", async () => {
      let changes = 0;
      for (const { capture, plain } of await choose(chain, "flows/pcaps", 14)) {
        const thrice = await run(chain, capture, { swap: alternate([5, 9, 14]) });
        expect(thrice.files, capture).toEqual(plain.files);
        const often = Array.from({ length: Math.floor(countFrames(plain) / 3) }, (_, index) => 3 * (index + 1));
        const manyTimes = await run(chain, capture, { swap: alternate(often) });
        expect(manyTimes.files, capture).toEqual(plain.files);
        changes += thrice.stats.swaps + manyTimes.stats.swaps;
      }
      console.log(`${CAPTURES} captures, ${changes} changes of layout`);
    }, 120_000);

    it("is not the same if a version forgets: the verdicts show lost state", async () => {
      const differing: string[] = [];
      for (const { capture, plain } of await choose(chain, "flows/pcaps", 14)) {
        const forgetful = await run(chain, capture, { swap: ["5:fw=acl@1.2.0"] });
        if (forgetful.files["verdicts.jsonl"] !== plain.files["verdicts.jsonl"]) differing.push(capture);
        const unknown = forgetful.stats.dropped["fw:unknown"] ?? 0;
        expect(unknown > 0, capture).toBe(forgetful.files["verdicts.jsonl"] !== plain.files["verdicts.jsonl"]);
        expect(plain.stats.dropped["fw:unknown"]).toBeUndefined();
      }
      console.log(`${differing.length} of ${CAPTURES} captures differ`);
      expect(differing.length).toBeGreaterThan(CAPTURES / 2);
    }, 120_000);
  });
});

/** To the other layout, back, and so on. */
function alternate(frames: readonly number[]): string[] {
  return frames.map((frame, index) => `${frame}:fw=acl@${index % 2 === 0 ? "1.1.0" : "1.0.0"}`);
}

function countFrames({ files }: Replayed): number {
  return (files["verdicts.jsonl"] as string).split("\n").length - 1;
}

function readResult(file: string, name: string): string {
  if (name !== "stats.json") return readFileSync(file, "latin1");
  const { swaps: _, ...stats } = JSON.parse(readFileSync(file, "utf8"));
  return JSON.stringify(stats).replaceAll(/"package":"acl@1\.\d\.0"/g, '"package":"acl"');
}
