import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeBundle, looksLikeBundle, readBundle } from "../../runtime/dataplane/faults/bundle.ts";
import { BUNDLES_MAX, BundleFolder } from "../../runtime/dataplane/faults/bundle-folder.ts";
import { readCalls } from "../../runtime/dataplane/faults/call-log.ts";
import { EvidenceGate, type FaultEvidence } from "../../runtime/dataplane/faults/evidence.ts";
import { SluiceError } from "../../runtime/errors.ts";
import { formatPacket } from "../../runtime/testing/index.ts";
import { makeBundles, replayBundle } from "../support/fault-bundle.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const packet = "udp 10.0.0.1:5000 > 10.0.0.2:53";

/** A bundle of a trap, and what it was made of. */
async function makeOne(): Promise<{ file: string; evidence: FaultEvidence }> {
  const maker = await makeBundles({
    before: "const heap = new StaticArray<u64>(512); let count: u64 = 0; let ratio: f64 = 0.1;",
    body: "heap[500] = count + u64(ratio);\ncount = u64.MAX_VALUE;\nratio = -0.0;\nunreachable();",
  });
  maker.fn.process(packet);
  const [file = ""] = await maker.bundles();
  return { file, evidence: maker.evidence[0] as FaultEvidence };
}

function codeOf(act: () => unknown): string {
  try {
    act();
    return "none";
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
}

describe("a bundle", () => {
  it("reads as what was written", async () => {
    const { file, evidence } = await makeOne();
    expect(looksLikeBundle(file)).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const { description, calls, state, package: from } = readBundle(file);
    expect(state).toEqual(evidence.state);
    expect(state.globals).toContain(-1n);
    expect(state.globals?.some((value) => Object.is(value, -0))).toBe(true);
    expect(calls).toEqual(readCalls(new Uint8Array(evidence.calls)));
    expect(calls[0]?.frames.map(({ bytes }) => formatPacket(bytes))).toEqual([packet]);
    expect(from.manifest.name).toBe("faulty");
    expect(description).toMatchObject({
      ...{ function: "faulty", package: "faulty@1.0.0", kind: "trap", call: "nf_process", message: "unreachable" },
      ...{ source: expect.stringMatching(/^faulty\/index\.ts:9:/), isExact: false, bad: null, memoryKept: true },
    });
  });

  it("says nothing of how the other functions are configured", async () => {
    const maker = await makeBundles({ body: "unreachable();" });
    maker.fn.process(packet);
    const { plan, functions } = maker.fn.lane;
    const other = {
      ...(plan.functions[0] as (typeof plan.functions)[number]),
      name: "other",
      config: { key: "secret" },
    };
    const chain = { generation: 1, plan: { ...plan, functions: [...plan.functions, other] } };
    const packages = functions.map((each) => each.package);
    const members = describeBundle(maker.evidence[0] as FaultEvidence, { ...chain, packages });
    for (const bytes of members.values()) expect(Buffer.from(bytes).includes("secret")).toBe(false);
    maker.fn.close();
  });

  it("that is cut off or changed anywhere is refused, or says the same", async () => {
    const { file } = await makeOne();
    const whole = readFileSync(file);
    const { description } = readBundle(file);
    const copy = `${makeFolder()}/bundle.tar.gz`;
    const isRefusedOrSame = (bytes: Uint8Array) => {
      writeFileSync(copy, bytes);
      const code = codeOf(() => expect(readBundle(copy).description).toEqual(description));
      expect(["bundle-damaged", "none"]).toContain(code);
      return code;
    };
    fc.assert(
      fc.property(fc.nat(whole.length - 20), (length) => {
        expect(isRefusedOrSame(whole.subarray(0, length))).toBe("bundle-damaged");
      }),
      { numRuns: 20 },
    );
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] as number) ^ change;
        isRefusedOrSame(changed);
      }),
      { numRuns: 20 },
    );
  }, 60_000);

  it("that is something else is said to be damaged, in one line", () => {
    const folder = makeFolder({ "empty.tar.gz": "", "text.tar": "chain: x\n" });
    for (const name of ["empty.tar.gz", "text.tar", "missing.tar.gz"]) {
      const { status, stderr } = replayBundle(`${folder}/${name}`);
      expect(stderr).toMatch(/^error\[bundle-damaged\] .*\n$/);
      expect(status).toBe(2);
    }
    expect(looksLikeBundle(`${folder}/none`)).toBe(false);
  });

  it("takes no options that are for captures", async () => {
    const { file } = await makeOne();
    const { status, stderr } = replayBundle(file, "--in", "lan=x.pcap");
    expect(stderr).toContain("error[usage] --in");
    expect(status).toBe(2);
  });
});

describe("the log of calls", () => {
  it("throws nothing but RangeError, whatever it holds", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, hasLength) => {
        const log = Uint8Array.from(bytes);
        if (hasLength && log.length >= 64) {
          new DataView(log.buffer).setUint32(0, log.length, true);
          new DataView(log.buffer).setUint32(4, 0, true);
        }
        try {
          readCalls(log);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });
});

describe("the folder of bundles", () => {
  it("keeps the newest, and nothing of what was half made", async () => {
    const maker = await makeBundles({ body: "unreachable();" });
    maker.fn.process(packet);
    const { plan, functions } = maker.fn.lane;
    const chain = { generation: 1, plan, packages: functions.map((each) => each.package) };
    const path = `${makeFolder({ "faults/.draft-left/bundle": "x" })}/faults`;
    const folder = new BundleFolder(path);
    const names: string[] = [];
    for (let i = 0; i < BUNDLES_MAX + 2; i++) {
      const at = new Date(Date.UTC(2026, 0, 1, 0, 0, i)).toISOString();
      names.push(await folder.keep({ ...(maker.evidence[0] as FaultEvidence), at }, chain));
    }
    expect(folder.list()).toEqual(names.slice(2));
    expect(existsSync(`${path}/.draft-left`)).toBe(false);
    maker.fn.close();
  }, 60_000);

  it("says what it cannot write", async () => {
    const maker = await makeBundles({ body: "unreachable();" });
    maker.fn.process(packet);
    const { plan, functions } = maker.fn.lane;
    const chain = { generation: 1, plan, packages: functions.map((each) => each.package) };
    const folder = new BundleFolder(`${makeFolder({ file: "" })}/file/faults`);
    await expect(folder.keep(maker.evidence[0] as FaultEvidence, chain)).rejects.toThrow("error[file-unwritable]");
    maker.fn.close();
  });
});

describe("what is kept of a storm", () => {
  it("is one of each kind, and one a second", () => {
    const gate = new EvidenceGate();
    expect(gate.opens("a", 0)).toBe(true);
    expect(gate.opens("a", 5000)).toBe(false);
    expect(gate.opens("b", 500)).toBe(false);
    expect(gate.opens("b", 1000)).toBe(true);
  });
});
