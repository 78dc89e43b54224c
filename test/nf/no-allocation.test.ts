// After configuration nothing is allocated: no function that the packet path reaches contains AssemblyScript's allocator.
import { describe, expect, it } from "vitest";
import { findAllocations } from "../../runtime/function/allocation.ts";
import { listFunctions } from "../../runtime/function/build-all.ts";
import { compileFunction } from "../../runtime/function/compile.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const compile = async (source: string) => (await compileFunction(makeFolder({ "index.ts": source }))).wasm;

/** A function whose packet path is `statement`. */
const functionOf = (statement: string, before = "") => `
  import { batch, Config } from "sluice/sdk";
  export { nf_abi } from "sluice/sdk/exports";
  ${before}
  export function nf_configure(json: string): bool { return Config.parse(json).accepted(); }
  export function nf_process(): void { for (let i = 0; i < batch.count; i++) { ${statement} } }`;

describe("the packet path of the built-in functions", () => {
  it.each(listFunctions())("of %s cannot allocate", async (name) => {
    const { wasm } = await compileFunction(`${projectRoot}/nfs/${name}`);
    expect(findAllocations(wasm)).toEqual([]);
  });
});

describe("the proof", () => {
  it("holds for a function that allocates while it is configured only", async () => {
    const before = "const table = new StaticArray<u32>(1024);";
    expect(findAllocations(await compile(functionOf("unchecked(table[i & 1023]++);", before)))).toEqual([]);
  });

  it.each([
    ["an object", "keep = new Thing();", "class Thing { x: i32 = 1; } let keep: Thing | null = null;"],
    ["an array that grows", "list.push(i);", "const list: i32[] = [];"],
    ["text", "text += '!';", "let text = '';"],
    ["memory itself", "memory.grow(1);", ""],
  ])("finds %s", async (_, statement, before) => {
    const found = findAllocations(await compile(functionOf(statement, before)));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^nf_process/);
  });

  it("finds what is called through a table", async () => {
    const before = "let keep = ''; const calls: (() => void)[] = [() => { keep += 'x'; }, () => {}];";
    expect(findAllocations(await compile(functionOf("calls[i & 1]();", before)))).toHaveLength(1);
  });

  it.each(["nf_tick", "nf_events", "nf_stream"])("looks at %s, too", async (name) => {
    const before = `let keep = ''; export function ${name}(): void { keep += 'x'; }`;
    const [found] = findAllocations(await compile(functionOf("batch.packet(i).drop();", before)));
    expect(found).toMatch(new RegExp(`^${name} → `));
  });

  it("holds for all that the SDK does with flows, events, streams and the outbox", async () => {
    const before = `
      import { chunks, Column, CustomEvent, EVENT_START, events, Flow, Label, LOG_INFO, outbox } from "sluice/sdk";
      const score = new Column<u32>("x.score");
      const scan = new CustomEvent("x.scan");
      const suspect = new Label("suspect");
      function use(flow: Flow): void {
        score.set(flow, score.get(flow) + flow.rtt);
        scan.raise(flow, 1);
        suspect.set(flow);
        suspect.clear(flow);
        outbox.bind4(flow, 1, 2, 3, 4);
        outbox.bind6(flow, 1, 2, 3, 4, 5, 6);
        outbox.timeout(flow, 1);
        outbox.close(flow);
        outbox.log(LOG_INFO, "hello", flow);
        if (outbox.reserve(60) != 0) outbox.emit(1, 60, flow);
      }
      export function nf_events(): void {
        for (let i = 0; i < events.count; i++) if (events.at(i).kind == EVENT_START) use(events.at(i).flow);
      }
      export function nf_stream(): void { for (let i = 0; i < chunks.count; i++) use(chunks.at(i).flow); }`;
    const statement = "const flow = batch.packet(i).flow; if (flow !== null) use(flow);";
    expect(findAllocations(await compile(functionOf(statement, before)))).toEqual([]);
  });
});
