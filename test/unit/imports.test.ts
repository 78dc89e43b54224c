// The direction of imports: runtime/README.md draws it, this reads it from the sources.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { projectRoot } from "../support/run-sluice.ts";

/** A room may import itself, these rooms, and the leaves. */
const allowedRooms: Readonly<Record<string, readonly string[]>> = {
  "runtime/main.ts": ["runtime/cli", "runtime/control", "runtime/errors.ts"],
  "runtime/cli": [
    ...["runtime/control", "runtime/generation", "runtime/dataplane", "runtime/function", "runtime/chain"],
    ...["runtime/telemetry", "runtime/testing", "runtime/errors.ts"],
  ],
  "runtime/demo": [
    ...["runtime/cli", "runtime/dataplane", "runtime/function", "runtime/chain", "runtime/telemetry"],
    ...["runtime/testing", "runtime/errors.ts"],
  ],
  "runtime/web": ["runtime/control"],
  "runtime/control": [
    ...["runtime/generation", "runtime/dataplane", "runtime/function", "runtime/chain", "runtime/telemetry"],
    ...["runtime/testing", "runtime/errors.ts"],
  ],
  "runtime/generation": [
    ...["runtime/dataplane", "runtime/function", "runtime/chain", "runtime/telemetry", "runtime/errors.ts"],
  ],
  "runtime/testing": [
    ...["runtime/dataplane", "runtime/function", "runtime/chain", "runtime/telemetry", "runtime/errors.ts"],
  ],
  "runtime/dataplane": ["runtime/function", "runtime/chain", "runtime/telemetry", "runtime/errors.ts"],
  "runtime/telemetry": ["runtime/dataplane", "runtime/chain", "runtime/errors.ts"],
  "runtime/function": ["runtime/chain", "runtime/errors.ts"],
  "runtime/chain": ["runtime/errors.ts"],
  "runtime/errors.ts": [],
  native: [],
  setup: ["runtime/cli", "runtime/function", "runtime/errors.ts"],
};

/** Numbers and types that two sides agree on; they import nothing but each other and types. */
const leaves = [
  ...["nfs/sdk/abi.ts", "nfs/sdk/classifier/tables.ts"],
  ...["runtime/dataplane/layout.ts", "runtime/dataplane/memory-map.ts"],
];

interface Import {
  readonly file: string;
  /** As it is written: a path, a package or a module of Node. */
  readonly specifier: string;
  /** From the repository's root; undefined for packages. */
  readonly target: string | undefined;
  readonly dynamic: boolean;
  /** Gone when the file runs. */
  readonly typeOnly: boolean;
}

function listSources(folder: string): string[] {
  return readdirSync(join(projectRoot, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(ts|mjs)$/.test(file) && !/(^|\/)(node_modules|build)\//.test(file))
    .map((file) => join(folder, file));
}

function readImports(file: string): Import[] {
  const text = readFileSync(join(projectRoot, file), "utf8").replace(/^\s*(\/\/|\*).*$/gm, "");
  const statements = text.matchAll(/^\s*(?:import|export)\b(?:[^;"'`]*?\bfrom)?\s*["']([^"'\n]+)["']/gm);
  const calls = text.matchAll(/\bimport\(\s*["']([^"']+)["']/g);
  const toImport =
    (dynamic: boolean) =>
    ([statement, specifier = ""]: RegExpExecArray) => {
      const isPath = specifier.startsWith(".");
      const target = isPath ? relative(projectRoot, resolve(projectRoot, dirname(file), specifier)) : undefined;
      return { file, specifier, target, dynamic, typeOnly: /^\s*(import|export)\s+type\b/.test(statement) };
    };
  return [...[...statements].map(toImport(false)), ...[...calls].map(toImport(true))];
}

function roomOf(path: string): string {
  const [top = "", second = ""] = path.split("/");
  return top === "native" || top === "setup" || top === "test" ? top : `${top}/${second}`;
}

const runtimeFiles = ["runtime", "native", "setup"].flatMap(listSources);
const functionFiles = listSources("nfs");
const runtimeImports = runtimeFiles.flatMap(readImports);
const functionImports = functionFiles.flatMap(readImports);
const allImports = [...runtimeImports, ...functionImports];

function list(imports: readonly Import[], reason: string): string[] {
  return imports.map(({ file, specifier }) => `${file} imports ${specifier}: ${reason}`);
}

describe("imports", () => {
  it("are found at all", () => {
    expect(runtimeImports.length).toBeGreaterThan(100);
    expect(readImports("runtime/main.ts").map(({ target }) => target)).toContain("runtime/cli/chain.ts");
    expect(readImports("runtime/chain/document.ts").map(({ specifier }) => specifier)).toContain("../errors.ts");
  });

  it("stand in rooms that the rule knows", () => {
    const rooms = new Set(runtimeFiles.map(roomOf).filter((room) => !/\.d\.ts$/.test(room)));
    expect([...rooms].filter((room) => allowedRooms[room] === undefined)).toEqual([]);
  });

  it("lead down: main → cli, control → generation → dataplane → function → chain; telemetry and errors beside them", () => {
    const wrong = runtimeImports.filter(({ file, target }) => {
      if (target === undefined || leaves.includes(target)) return false;
      const room = roomOf(file);
      return roomOf(target) !== room && !(allowedRooms[room] ?? []).includes(roomOf(target));
    });
    expect(list(wrong, "that room is not below this one")).toEqual([]);
  });

  it("never go in a circle, not even between rooms that stand side by side", () => {
    const circles: string[] = [];
    const finished = new Set<string>();
    const visit = (file: string, trail: readonly string[]) => {
      if (trail.includes(file)) circles.push([...trail.slice(trail.indexOf(file)), file].join(" → "));
      if (finished.has(file) || trail.includes(file)) return;
      const followed = runtimeImports.filter((found) => found.file === file && !found.typeOnly && !found.dynamic);
      for (const { target } of followed) if (target !== undefined) visit(target, [...trail, file]);
      finished.add(file);
    };
    for (const file of runtimeFiles) visit(file, []);
    expect(circles).toEqual([]);
  });

  it("of the addon stand in load-addon.ts alone", () => {
    const touching = runtimeFiles.filter((file) => {
      if (!file.startsWith("runtime/") || file === "runtime/dataplane/load-addon.ts") return false;
      return /sluice\.node|process\.dlopen|createRequire/.test(readFileSync(join(projectRoot, file), "utf8"));
    });
    expect(touching.map((file) => `${file} touches the addon: use loadAddon`)).toEqual([]);
  });

  it("of chain/ are pure: no file, no socket, no clock, no randomness", () => {
    const impure = runtimeImports.filter(
      ({ file, specifier }) => file.startsWith("runtime/chain/") && specifier.startsWith("node:"),
    );
    expect(list(impure, "chain/ is pure; let the caller inject it")).toEqual([]);
    const sources = runtimeFiles.filter((file) => file.startsWith("runtime/chain/"));
    const clocks = sources.filter((file) =>
      /\b(Date\.now|new Date|performance\.|Math\.random|process\.|setTimeout|fetch\()/.test(
        readFileSync(join(projectRoot, file), "utf8"),
      ),
    );
    expect(clocks).toEqual([]);
  });

  it("of a function's sources lead to its own folder and the SDK; its tests may also use runtime/testing", () => {
    const wrong = functionImports.filter(({ file, specifier, target }) => {
      const own = roomOf(file);
      const isTest = file.startsWith(`${own}/test/`);
      if (target === undefined)
        return !isTest && own !== "nfs/prettier-plugin.mjs" && !specifier.startsWith("sluice/sdk");
      if (own === "nfs/sdk") return roomOf(target) !== own && !isTest;
      return ![own, "nfs/sdk", ...(isTest ? ["runtime/testing"] : [])].includes(roomOf(target));
    });
    expect(list(wrong, "nfs/<name> → nfs/sdk")).toEqual([]);
  });

  it("never lead to test/", () => {
    const wrong = allImports.filter(({ target }) => target?.startsWith("test/"));
    expect(list(wrong, "tests import the product, not the other way round")).toEqual([]);
  });

  it("of the leaves lead to other leaves at most", () => {
    const wrong = allImports.filter(({ file, target }) => leaves.includes(file) && !leaves.includes(target ?? ""));
    expect(list(wrong, "everybody includes that file")).toEqual([]);
  });

  it("of the command line's parser stand in cli/ and main.ts", () => {
    const wrong = runtimeImports.filter(
      ({ file, specifier }) => specifier === "commander" && !["runtime/cli", "runtime/main.ts"].includes(roomOf(file)),
    );
    expect(list(wrong, "only the command line knows of its parser")).toEqual([]);
  });

  it("do not load the AssemblyScript compiler with every command", () => {
    const seen = new Set<string>();
    const visit = (file: string) => {
      if (seen.has(file)) return;
      seen.add(file);
      const followed = runtimeImports.filter((found) => found.file === file && !found.dynamic);
      for (const { target } of followed) if (target !== undefined) visit(target);
    };
    visit("runtime/main.ts");
    // Each command is loaded when it is asked for.
    const commands = readImports("runtime/main.ts").filter(({ dynamic }) => dynamic);
    expect(commands.length).toBeGreaterThan(10);
    for (const { target } of commands) visit(target as string);
    const wrong = runtimeImports.filter(
      ({ file, specifier, dynamic }) => seen.has(file) && specifier.startsWith("assemblyscript") && !dynamic,
    );
    expect(list(wrong, "it takes a second to load; use import() where it is needed")).toEqual([]);
  });

  it("name built-in modules with node:, and files with their ending", () => {
    const wrong = runtimeImports.filter(({ specifier }) =>
      specifier.startsWith(".")
        ? !/\.(ts|mjs|json)$/.test(specifier)
        : /^(fs|path|os|url|util|child_process|worker_threads)$/.test(specifier),
    );
    expect(list(wrong, "Node runs these files as they are")).toEqual([]);
  });
});
