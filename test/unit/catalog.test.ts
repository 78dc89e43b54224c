import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCatalog } from "../../runtime/function/catalog.ts";
import { validateManifest } from "../../runtime/function/manifest.ts";
import { listFaults } from "../support/collect-faults.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const base = { name: "hello", version: "1.0.0", abi: 1, description: "Counts", frames: "read", memoryPages: 16 };

function write(change: Record<string, unknown> = {}): string {
  return JSON.stringify({ ...base, ...change }, null, 2);
}

describe("a manifest", () => {
  it("holds what the contract lists", () => {
    const manifest = {
      ...base,
      columns: { writes: { "hello.score": "u16" }, reads: ["nat.port"] },
      segments: { table: { bytes: 4096, layout: 1 } },
      events: { defines: ["hello.scan"], subscribes: ["start", "nat.full"] },
      stream: true,
      labels: ["suspect"],
      config: { type: "object", properties: { level: { type: "integer" } } },
    };
    expect(validateManifest(JSON.stringify(manifest), "manifest.json")).toEqual(manifest);
  });

  it("reports all its faults at once, with their places", () => {
    const text = write({ name: "Hello", version: "1.0", frames: "rw", memoryPages: 0, framse: "read", abi: undefined });
    expect(listFaults(() => validateManifest(text, "m.json")).map((line) => line.replace(/ \(.*/, ""))).toEqual([
      'manifest-invalid m.json:1:1 the key "abi" is missing',
      'manifest-invalid m.json:2:11 "Hello" is not a name',
      'manifest-invalid m.json:3:14 "1.0" is not a version such as 1.4.2',
      'manifest-invalid m.json:5:13 "rw" is not one of none, read, write',
      "manifest-invalid m.json:6:18 0 is not between 1 and 16384",
      'manifest-invalid m.json:7:3 unknown key "framse"',
    ]);
  });

  it("of another ABI is refused as such", () => {
    expect(listFaults(() => validateManifest(write({ abi: 2 }), "m.json"))).toEqual([
      "abi-version m.json:4:10 hello is for ABI version 2; this host speaks version 1",
    ]);
  });

  it.each([
    [{ type: "strin" }, /must be equal to one of the allowed values/],
    [{ type: "string", format: "ip-adress" }, /unknown format "ip-adress"/],
    [{ $ref: "other.json" }, /can't resolve reference/],
    [{ $schema: "http://json-schema.org/draft-07/schema#" }, /no schema with key or ref/],
  ])("must not have the configuration schema %j", (config, what) => {
    const faults = listFaults(() => validateManifest(write({ config }), "m.json"));
    expect(faults).toEqual([expect.stringMatching(/^manifest-invalid m.json:8:13 config is not a JSON Schema: /)]);
    expect(faults[0]).toMatch(what);
  });
});

describe("a catalog", () => {
  it("finds the highest version in the range, wherever it lies", () => {
    const folder = makeFolder({
      "old/manifest.json": write({ version: "1.2.0" }),
      "new/manifest.json": write({ version: "1.10.0" }),
      "next/manifest.json": write({ version: "2.0.0-rc.1" }),
      "notes/readme.md": "no package",
    });
    const catalog = openCatalog({ folders: [folder], root: null });
    const find = (range: string) => catalog.find("hello", range)?.manifest.version;
    expect([find("*"), find("1"), find("~1.2"), find(">=1 <1.5"), find("2"), find("2.0.0-rc.1")]).toEqual([
      ...["1.10.0", "1.10.0", "1.2.0", "1.2.0", undefined, "2.0.0-rc.1"],
    ]);
    expect(catalog.find("hullo", "*")).toBeUndefined();
    expect(catalog.known.map(({ version }) => version)).toEqual(["2.0.0-rc.1", "1.10.0", "1.2.0"]);
  });

  it("takes a folder that is a package itself", () => {
    const folder = makeFolder({ "manifest.json": write(), "function.wasm": "\0asm" });
    const found = openCatalog({ folders: [folder], root: null }).find("hello", "1");
    expect(found?.origin).toBe(folder);
    expect(found?.wasm).toEqual(new Uint8Array([0, 0x61, 0x73, 0x6d]));
  });

  it("knows the built-in functions, and takes their modules from build/functions", () => {
    const root = makeFolder({
      "nfs/hello/manifest.json": write({ version: "1.0.1" }),
      "nfs/sdk/abi.ts": "",
      "build/functions/hello/manifest.json": write(),
      "build/functions/hello/function.wasm": "built",
    });
    const catalog = openCatalog({ root });
    expect(catalog.known).toEqual([{ name: "hello", version: "1.0.0" }]);
    expect(Buffer.from(catalog.find("hello", "*")?.wasm ?? []).toString()).toBe("built");
  });

  it("prefers a named folder to the built-in functions where versions are equal", () => {
    const root = makeFolder({
      "nfs/hello/manifest.json": write(),
      "build/functions/hello/function.wasm": "built-in",
      "mine/hello/manifest.json": write(),
      "mine/hello/function.wasm": "mine",
    });
    const found = openCatalog({ folders: [join(root, "mine")], root }).find("hello", "*");
    expect(Buffer.from(found?.wasm ?? []).toString()).toBe("mine");
  });

  it("reads modules only when they are asked for, and says if one is not built", () => {
    const folder = makeFolder({ "hello/manifest.json": write() });
    const found = openCatalog({ folders: [folder], root: null }).find("hello", "*");
    expect(listFaults(() => found?.wasm)).toEqual([
      `file-unreadable ${join(folder, "hello")} hello@1.0.0 is not built`,
    ]);
    writeFileSync(join(folder, "hello/function.wasm"), "late");
    const again = openCatalog({ folders: [folder], root: null }).find("hello", "*");
    expect(again?.wasm).toHaveLength(4);
  });

  it("reports a damaged package to whom it may concern, and to nobody else", () => {
    const root = makeFolder({
      "nfs/broken/manifest.json": "{",
      "nfs/hello/manifest.json": write(),
    });
    const catalog = openCatalog({ root });
    expect(catalog.find("hello", "*")?.manifest.name).toBe("hello");
    expect(catalog.find("other", "*")).toBeUndefined();
    expect(listFaults(() => catalog.find("broken", "*"))[0]).toMatch(
      /^document-syntax .*nfs\/broken\/manifest.json:1:/,
    );

    const named = openCatalog({ folders: [join(root, "nfs")], root: null });
    expect(listFaults(() => named.find("other", "*"))[0]).toContain("nfs/broken/manifest.json");
  });

  it("takes packages from tar files, and says what is wrong with those that are none", () => {
    const folder = makeFolder({
      "source/manifest.json": write(),
      "source/function.wasm": "packed",
      "functions/broken.tar": "no archive",
    });
    const members = ["--directory", join(folder, "source"), "function.wasm", "manifest.json"];
    const tar = join(folder, "functions/hello-1.0.0.tar");
    expect(spawnSync("tar", ["--create", "--format=ustar", "--file", tar, ...members]).status).toBe(0);
    const catalog = openCatalog({ folders: [join(folder, "functions")], root: null });
    const found = catalog.find("hello", "1");
    expect(found?.origin).toBe(tar);
    expect(Buffer.from(found?.wasm ?? []).toString()).toBe("packed");
    expect(listFaults(() => catalog.find("other", "1"))).toEqual([
      expect.stringMatching(/^file-unreadable .*broken\.tar manifest.json cannot be read from it: tar: /),
    ]);
  });

  it("says that a named folder does not exist or is a file", () => {
    const folder = makeFolder({ file: "" });
    expect(listFaults(() => openCatalog({ folders: ["/nowhere"] }))).toEqual([
      "file-unreadable --functions /nowhere there is no such folder",
    ]);
    expect(listFaults(() => openCatalog({ folders: [join(folder, "file")] }))[0]).toMatch(
      /^file-unreadable .*file ENOTDIR/,
    );
  });

  it("is empty where nothing is", () => {
    const root = makeFolder();
    mkdirSync(join(root, "nfs"));
    expect(openCatalog({ root }).known).toEqual([]);
  });
});
