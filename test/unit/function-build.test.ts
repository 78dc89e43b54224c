// From source to package: the same bytes everywhere, clear faults, and traps that name their line.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SluiceError } from "../../runtime/errors.ts";
import { buildFunction, packFunction } from "../../runtime/function/build.ts";
import { compileFunction } from "../../runtime/function/compile.ts";
import { readCustomSection } from "../../runtime/function/custom-section.ts";
import { decodeModule } from "../../runtime/function/module.ts";
import { newFunction } from "../../runtime/function/new-function.ts";
import { resolveTrap } from "../../runtime/function/source-map.ts";
import { runAssembly } from "../support/assembly-module.ts";
import { projectRoot, runSluice } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

async function faultsOf(work: Promise<unknown>): Promise<string[]> {
  try {
    await work;
    return [];
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return error.faults.map(({ code, where, what }) => `${code} ${where} ${what}`);
  }
}

const manifest = JSON.stringify({
  name: "x",
  version: "1.0.0",
  abi: 1,
  description: "x",
  frames: "none",
  memoryPages: 4,
});

describe("building a function", () => {
  it("gives the same bytes in every folder and every time", async () => {
    const builds = await Promise.resolve([makeFolder(), makeFolder()]).then(async (parents) => {
      const tars: Buffer[] = [];
      for (const parent of parents) {
        const folder = newFunction("my-filter", parent);
        const { folder: built } = await buildFunction(folder, join(folder, "build"));
        tars.push(readFileSync(packFunction(built)));
      }
      return tars;
    });
    expect(builds[0]?.equals(builds[1] as Buffer)).toBe(true);
  });

  it("packs the module and its manifest, and nothing else", async () => {
    const folder = newFunction("my-filter", makeFolder());
    const { folder: built, manifest } = await buildFunction(folder, join(folder, "build"));
    const tar = packFunction(built);
    expect(tar).toBe(join(folder, "build/my-filter-0.1.0.tar"));
    expect(readdirSync(built).toSorted()).toEqual(["function.wasm", "manifest.json", "my-filter-0.1.0.tar"]);
    expect(manifest.name).toBe("my-filter");
    const header = readFileSync(tar).subarray(0, 512);
    expect(header.subarray(0, 13).toString()).toBe("function.wasm");
    expect(header.subarray(257, 262).toString()).toBe("ustar");
  });

  it("reports every error of the source with its place", async () => {
    const source = "export function nf_process(): void {\n  nothing();\n  const x: i32 = 'text';\n}\n";
    const folder = join(makeFolder({ "bad/index.ts": source, "bad/manifest.json": manifest }), "bad");
    expect(await faultsOf(buildFunction(folder, join(folder, "build")))).toEqual([
      "build-failed bad/index.ts:2:3 Cannot find name 'nothing'. (AS2304)",
      "build-failed bad/index.ts:3:18 Type '~lib/string/String' is not assignable to type 'i32'. (AS2322)",
    ]);
    expect(existsSync(join(folder, "build"))).toBe(false);
  });

  it("says so if there is no source, no manifest or no sound one", async () => {
    const folder = makeFolder({
      "a/manifest.json": manifest,
      "b/index.ts": "",
      "c/manifest.json": "{}",
      "c/index.ts": "",
    });
    const codes = ["a", "b", "c"].map(
      async (name) => (await faultsOf(buildFunction(join(folder, name), folder)))[0]?.split(" ")[0],
    );
    expect(await Promise.all(codes)).toEqual(["build-failed", "file-unreadable", "manifest-invalid"]);
  });

  it("does not write a module that the host would refuse", async () => {
    const source =
      'export { nf_abi } from "sluice/sdk/exports"; export function nf_configure(json: string): bool { return true; }';
    const folder = makeFolder({ "index.ts": source, "manifest.json": manifest });
    expect(await faultsOf(buildFunction(folder, join(folder, "build")))).toEqual([
      "module-not-function x@1.0.0 it does not export nf_process",
    ]);
    expect(existsSync(join(folder, "build"))).toBe(false);
  });

  it("keeps names and a source map in a module that V8 accepts", async () => {
    const { wasm } = await compileFunction(join(projectRoot, "nfs/hello"));
    expect(WebAssembly.validate(wasm as Uint8Array<ArrayBuffer>)).toBe(true);
    const map = JSON.parse(Buffer.from(readCustomSection(wasm, "sluice.sourcemap") as Uint8Array).toString());
    expect(map.sources).toContain("nfs/hello/index.ts");
    expect(map.sourcesContent).toBeUndefined();
    expect(readCustomSection(wasm, "sourceMappingURL")).toBeUndefined();
    expect(decodeModule(wasm).functions.map(({ name }) => name)).toContain("nfs/hello/index/nf_process");
  });
});

describe("a trap", () => {
  const source = `
    import { batch } from "sluice/sdk";
    export function outside(at: usize): u32 {
      return load<u32>(at) + 1;
    }
    export function inSdk(i: i32): void {
      const packet = batch.packet(i);
      packet.drop();
    }
    export function thrown(code: i32): void {
      if (code > 1) throw new Error("it is " + code.toString());
    }`;

  async function trapOf(name: string, argument: number) {
    const module = await runAssembly(source);
    try {
      module.exports[name]?.(argument);
      throw new RangeError("it did not trap");
    } catch (error) {
      const { message, source: place } = resolveTrap(error as Error, module.wasm);
      return { message, place: place?.replace(/^[^/]+/, "x") };
    }
  }

  it("names the line that it happened in", async () => {
    expect(await trapOf("outside", 0xffffff00)).toEqual({
      message: "memory access out of bounds",
      place: "x/index.ts:4:14",
    });
  });

  it("in code inlined from the SDK names the author's line", async () => {
    const { place } = await trapOf("inSdk", 0x20000000);
    expect(place).toMatch(/^x\/index\.ts:[67]:/);
  });

  it("that was thrown on purpose says why, at its line", async () => {
    const { message, place } = await trapOf("thrown", 7);
    expect(message).toBe("it is 7");
    expect(place).toMatch(/^x\/index\.ts:11:/);
  });

  it("without a source map still says what", () => {
    const error = new WebAssembly.RuntimeError("unreachable");
    expect(resolveTrap(error, Buffer.from("0061736d01000000", "hex"))).toEqual({
      message: "unreachable",
      source: null,
    });
  });
});

describe("sluice function", () => {
  it("new makes a function that builds and whose test passes at once, in any folder", () => {
    const folder = makeFolder();
    expect(runSluice(["function", "new", "my-filter"], { cwd: folder })).toMatchObject({ status: 0, stderr: "" });
    const built = runSluice(["function", "build", "my-filter", "--json"], { cwd: folder });
    expect(JSON.parse(built.stdout)).toMatchObject({
      function: "my-filter@0.1.0",
      abi: 1,
      exports: ["nf_configure", "nf_process", "nf_abi"],
    });
    const tested = runSluice(["function", "test", "my-filter", "--json"], { cwd: folder });
    expect(JSON.parse(tested.stdout)).toMatchObject({ success: true, numPassedTests: 2, numFailedTests: 0 });
    expect(readdirSync(join(folder, "my-filter")).toSorted()).toEqual([
      "README.md",
      "build",
      "index.ts",
      "manifest.json",
      "test",
      "tsconfig.json",
    ]);
  });

  it("new refuses a name that is none and a folder that exists", () => {
    const folder = makeFolder({ "taken/x": "" });
    for (const name of ["Big", "9x", "a/b", "taken"]) {
      const { status, stderr } = runSluice(["function", "new", name, "--into", folder]);
      expect([status, stderr.split(" ")[0]]).toEqual([2, "error[usage]"]);
    }
  });

  it("list names the built-in functions", () => {
    const { stdout } = runSluice(["function", "list", "--json"]);
    expect(JSON.parse(stdout).map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(["acl", "hello"]),
    );
  });
});
