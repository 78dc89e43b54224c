// Which chain an engine runs that takes the place of a dead one, depending on when that died.
import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseDocument } from "../../runtime/chain/document.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { type CommittedChain, CommittedStore, followSource } from "../../runtime/generation/committed.ts";
import { History, type UpgradeState } from "../../runtime/generation/history.ts";
import { makeFunctionSource } from "../support/function-source.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const document = `chain: edge
ports: { lan: { device: a }, wan: { device: b } }
paths: [{ from: lan, match: { sources: [10.0.0.0/8] }, to: wan }]`;
const { plan } = planChain(parseDocument(document, "edge.yaml"), makeFunctionSource());

const chainOf = (file: string): CommittedChain => ({
  source: { file, set: [], functions: [], use: [] },
  plan,
  packages: [],
  numbering: {
    layout: { lane: 0, functions: [], ports: [], rings: [], hops: [], calls: [], laneUse: 0, count: 0, places: {} },
    functions: [],
  },
});

describe("what is committed", () => {
  let folder: string;
  let history: History;

  beforeEach(() => {
    folder = makeFolder();
    history = new History(makeFolder());
  });

  afterEach(() => history.close());

  const note = (upgrade: number, state: UpgradeState) => {
    const rest = { at: "", actor: "test", before: "", after: "", durationMs: 0, outcome: "ok" };
    history.add({ chain: "edge", upgrade, state, ...rest });
  };
  const found = () => new CommittedStore(folder).read(history)?.source.file;

  it("is nothing if the engine died before it ran", () => {
    expect(new CommittedStore(folder).read(history)).toBeNull();
  });

  it("is what the engine began with, plan and all", () => {
    new CommittedStore(folder).save(chainOf("first"));
    expect(new CommittedStore(folder).read(history)).toEqual(chainOf("first"));
  });

  it("is the chain before, as long as the history does not say that the change is committed", () => {
    const store = new CommittedStore(folder);
    store.save(chainOf("first"));
    note(1, "committed");
    store.prepare(2, chainOf("second"));
    expect(found()).toBe("first");
    expect(readdirSync(folder)).toEqual(["committed"]);
    store.prepare(2, chainOf("second"));
    note(2, "committing");
    expect(found()).toBe("first");
  });

  it("is the change, as soon as the history says so", () => {
    const store = new CommittedStore(folder);
    store.save(chainOf("first"));
    store.prepare(2, chainOf("second"));
    note(2, "committed");
    expect(found()).toBe("second");
    expect(found()).toBe("second");
    expect(readdirSync(folder)).toEqual(["committed"]);
  });

  it("is the change when its commit is complete, whatever comes later", () => {
    const store = new CommittedStore(folder);
    store.save(chainOf("first"));
    store.prepare(2, chainOf("second"));
    note(2, "committed");
    store.complete();
    note(3, "switched");
    expect(found()).toBe("second");
  });
});

describe("a change", () => {
  const before = { file: "/a.yaml", set: ["fw.default=deny", "fw.log=true"], functions: ["/f"], use: ["fw=acl@1"] };

  it("begins at what is committed, with its values and packages, if it names no document", () => {
    const request = { file: null, set: ["fw.default=permit"], functions: ["/f", "/g"], use: ["ids=ids@2"] };
    expect(followSource(before, request)).toEqual({
      file: "/a.yaml",
      set: ["fw.log=true", "fw.default=permit"],
      functions: ["/f", "/g"],
      use: ["fw=acl@1", "ids=ids@2"],
    });
  });

  it("begins anew at a document that it names", () => {
    const request = { file: "/b.yaml", set: [], functions: [], use: ["fw=acl@2"] };
    expect(followSource(before, request)).toEqual({ file: "/b.yaml", set: [], functions: ["/f"], use: ["fw=acl@2"] });
  });
});
