// AssemblyScript in, a WebAssembly module with its source map out.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { MEMORY_BASE } from "../../nfs/sdk/abi.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { removeCustomSection, replaceCustomSection } from "./custom-section.ts";
import { SOURCE_MAP_SECTION } from "./source-map.ts";

export const projectRoot = resolve(import.meta.dirname, "../..");

/** nfs/sdk/ABI.md, section 8, says why each. */
export const compilerFlags: readonly string[] = [
  ...["-O3", "--noAssert", "--runtime", "stub", "--exportRuntime"],
  ...["--importMemory", "--memoryBase", String(MEMORY_BASE)],
  ...["--enable", "simd", "--disable", "bulk-memory", "--disable", "mutable-globals"],
  // Function names, for the stacks of traps; the code is the same.
  ...["--sourceMap", "--debug"],
];

type DiagnosticMessage = import("assemblyscript/asc").DiagnosticMessage;

/** The compiler takes a second to load: only when something is to be compiled. */
const loadCompiler = async () => (await import("assemblyscript/asc")).default;

export function readCompilerVersion(): string {
  const description = readFileSync(join(projectRoot, "node_modules/assemblyscript/package.json"), "utf8");
  return (JSON.parse(description) as { version: string }).version;
}

export interface CompiledModule {
  readonly wasm: Uint8Array;
  readonly warnings: readonly string[];
}

/** Compiles `folder`/index.ts. The same sources give the same bytes in any folder. Throws build-failed. */
export async function compileFunction(folder: string, flags = compilerFlags): Promise<CompiledModule> {
  const directory = resolve(folder);
  const entry = join(directory, "index.ts");
  if (!existsSync(entry)) throw failed({ code: "build-failed", where: entry, what: "there is no such file" });
  // Names in traps and faults are relative to this: nfs/hello/index.ts, or my-function/index.ts outside the project.
  const base = directory.startsWith(`${projectRoot}/`) ? projectRoot : dirname(directory);
  const outputs = new Map<string, Uint8Array | string>();
  const texts = new Map<string, string>();
  const findings: Finding[] = [];
  const asc = await loadCompiler();
  const { error, stderr } = await asc.main(
    [relative(base, entry), "--baseDir", base, "--outFile", "function.wasm", ...flags],
    {
      readFile: (name: string, from: string) => {
        const text = readSource(resolve(from, name));
        if (text !== null) texts.set(name.replace(/^.*\/node_modules\//, "~lib/"), text);
        return text;
      },
      writeFile: (name: string, content: Uint8Array | string) => void outputs.set(name, content),
      listFiles: () => [],
      reportDiagnostic: (diagnostic) => void findings.push(describe(diagnostic, texts)),
    },
  );
  if (error !== null) throw buildFailure(findings, entry, `${error.message} ${stderr.toString()}`.trim());
  const map = outputs.get("function.wasm.map") as string;
  const bare = removeCustomSection(outputs.get("function.wasm") as Uint8Array, "sourceMappingURL");
  return {
    wasm: replaceCustomSection(bare, SOURCE_MAP_SECTION, packSourceMap(map)),
    warnings: findings.filter(({ severe }) => !severe).map(({ where, what }) => `${where}: ${what}`),
  };
}

/** `sluice/sdk` is the SDK of this project, wherever the importing file is; an asconfig.json has no say. */
function readSource(path: string): string | null {
  const [, inSdk] = /\/node_modules\/sluice\/sdk((?:\/.*)?\.ts)$/.exec(path) ?? [];
  const file = inSdk === undefined ? path : join(projectRoot, "nfs/sdk", inSdk);
  return file.endsWith(".ts") && existsSync(file) ? readFileSync(file, "utf8") : null;
}

/** What traps need: the mappings and the files' names, without their text. */
function packSourceMap(map: string): Uint8Array {
  const { version, sources, names, mappings } = JSON.parse(map);
  return Buffer.from(JSON.stringify({ version, sources, names, mappings }));
}

interface Finding {
  readonly where: string;
  readonly what: string;
  readonly severe: boolean;
}

const CATEGORY_ERROR = 3;

/** `texts` holds what the compiler read. */
function describe({ category, code, message, range }: DiagnosticMessage, texts: ReadonlyMap<string, string>): Finding {
  const what = `${message} (AS${code})`;
  const severe = category === CATEGORY_ERROR;
  if (range === null) return { where: "", what, severe };
  const path = range.source.normalizedPath;
  const before = texts.get(path)?.slice(0, range.start).split("\n");
  return {
    where: before === undefined ? path : `${path}:${before.length}:${(before.at(-1) ?? "").length + 1}`,
    what,
    severe,
  };
}

function buildFailure(findings: readonly Finding[], entry: string, fallback: string): SluiceError {
  const faults = findings
    .filter(({ severe }) => severe)
    .map(({ where, what }): Fault => ({ code: "build-failed", where: where === "" ? entry : where, what }));
  const [first = { code: "build-failed", where: entry, what: fallback } as const, ...rest] = faults;
  return failed(first, ...rest);
}

function failed(first: Fault, ...rest: readonly Fault[]): SluiceError {
  return new SluiceError(first, ...rest);
}
