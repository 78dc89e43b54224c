// What a manifest may say of columns, segments, events, streams and labels, and what its author is told otherwise.
import { describe, expect, it } from "vitest";
import { validateManifest } from "../../runtime/function/manifest.ts";
import { listFaults } from "../support/collect-faults.ts";

const base = { name: "ids", version: "1.0.0", abi: 1, description: "Looks", frames: "read", memoryPages: 16 };

const read = (parts: object) => validateManifest(JSON.stringify({ ...base, ...parts }), "m.json");
const faultsOf = (parts: object) => listFaults(() => read(parts)).map((line) => line.replace(/ m\.json:\S+/, ""));

describe("the columns of a manifest", () => {
  it("are written with a type alone, or with a type and whether the value is exported", () => {
    const writes = { "ids.score": "u16", "ids.rule": { type: "u32", export: true }, "ids.seen": { type: "f64" } };
    expect(read({ columns: { writes } }).columns?.writes).toEqual(writes);
  });

  it("are read by name, or by name and type; the host's own record is called flow", () => {
    const reads = ["flow", "nat.port", { name: "nat.address", type: "u32" }, { name: "nat.zone" }];
    expect(read({ columns: { reads } }).columns?.reads).toEqual(reads);
  });

  const form = "a name of the form word.word, such as nat.port (lower-case letters, digits, '_' and '-')";
  it.each([
    [{ writes: { score: "u16" } }, `manifest-invalid "score" is not ${form}`],
    [{ writes: { flow: "u16" } }, `manifest-invalid "flow" is not ${form}`],
    [{ writes: { "Nat.port": "u16" } }, `manifest-invalid "Nat.port" is not ${form}`],
    [{ writes: { "a.b.c": "u16" } }, `manifest-invalid "a.b.c" is not ${form}`],
    [{ writes: { "ids.score": "u12" } }, 'manifest-invalid "u12" is not one of u8, u16, u32, u64, i32, i64, f32, f64'],
    [{ writes: { "ids.score": 16 } }, "manifest-invalid 16 is not one of u8, u16, u32, u64, i32, i64, f32, f64"],
    [{ writes: { "ids.score": {} } }, 'manifest-invalid the key "type" is missing'],
    [{ writes: { "ids.score": { type: "u8", exprot: true } } }, 'manifest-invalid unknown key "exprot"'],
    [{ writes: { "ids.score": { type: "u8", export: 1 } } }, "manifest-invalid must be true or false, is 1"],
    [{ reads: ["port"] }, `manifest-invalid "port" is not "flow", the host's own record, or ${form}`],
    [{ reads: [{ type: "u8" }] }, 'manifest-invalid the key "name" is missing'],
    [{ reads: [{ name: "flow" }] }, `manifest-invalid "flow" is not ${form}`],
    [{ reads: ["nat.port", "nat.port"] }, /^manifest-invalid must not have duplicate items/],
    [{ write: {} }, 'manifest-invalid unknown key "write"'],
  ])("are nothing else: %j", (columns, fault) => {
    expect(faultsOf({ columns })).toEqual([typeof fault === "string" ? fault : expect.stringMatching(fault)]);
  });
});

describe("the rest of what a function may touch", () => {
  it("is named: segments, events, streams and labels", () => {
    const parts = {
      segments: { table: { bytes: 266_338_304, layout: 0 } },
      events: { defines: ["ids.scan"], subscribes: ["start", "icmp-error", "nat.full"] },
      stream: true,
      labels: ["suspect", "voip.call"],
    };
    expect(read(parts)).toEqual({ ...base, ...parts });
  });

  it.each([
    [{ segments: { table: { bytes: 266_338_305, layout: 0 } } }, "266338305 is not between 1 and 266338304"],
    [{ segments: { table: { bytes: 1 } } }, 'the key "layout" is missing'],
    [{ segments: { "my table": { bytes: 1, layout: 1 } } }, '"my table" is not a name'],
    [{ events: { defines: ["start"] } }, '"start" is not a name of the form word.word'],
    [{ events: { subscribes: ["strat"] } }, '"strat" is not one of start, established, data'],
    [{ events: { raises: [] } }, 'unknown key "raises"'],
    [{ stream: true, frames: "none" }, '"stream": true needs "frames": "read" or "write"'],
    [{ stream: "tcp" }, 'must be true or false, is "tcp"'],
    [{ labels: ["a b"] }, '"a b" is not a name'],
    [{ labels: "suspect" }, 'must be a list, is "suspect"'],
  ])("is not anything: %j", (parts, what) => {
    expect(faultsOf(parts)).toEqual([expect.stringContaining(`manifest-invalid ${what}`)]);
  });
});
