// hello and acl in Wasm against the same logic in C++ -O3 -march=native, interleaved in one run over the same memory.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileFunction, projectRoot } from "../../runtime/function/compile.ts";
import type { TwinComparison } from "./twin-rounds.ts";

/** Builds functions and twins in `folder` and measures them: one call per batch of 256 on both sides. */
export async function compareTwins(folder = join(projectRoot, "build/twins")): Promise<TwinComparison[]> {
  mkdirSync(folder, { recursive: true });
  const inherited = ["ignore", "ignore", "inherit"] as const;
  const cmake = (...args: string[]) => execFileSync("cmake", args, { stdio: [...inherited] });
  cmake("-S", join(projectRoot, "native"), "-B", folder, "-G", "Ninja");
  cmake("--build", folder, "--target", "twins");
  writeFileSync(join(folder, "hello.wasm"), (await compileFunction(join(projectRoot, "nfs/hello"))).wasm);
  writeFileSync(join(folder, "acl.wasm"), (await compileFunction(join(projectRoot, "nfs/acl/bench"))).wasm);
  // As in the data plane: TurboFan from the first call on. A process of its own, because asc does not bear the flag.
  const flags = ["--no-liftoff", "--no-wasm-lazy-compilation"];
  const rounds = join(import.meta.dirname, "twin-rounds.ts");
  return JSON.parse(execFileSync(process.execPath, [...flags, rounds, folder], { encoding: "utf8" }));
}

export function formatComparison({ subject, wasmNs, nativeNs, ratio }: TwinComparison): string {
  const [wasm, native] = [wasmNs, nativeNs].map((ns) => ns.toFixed(2).padStart(6));
  return `${subject.padEnd(24)} Wasm ${wasm} ns/packet   C++ ${native} ns/packet   ${ratio.toFixed(2)} of native`;
}

if (import.meta.main) for (const comparison of await compareTwins()) console.log(formatComparison(comparison));
