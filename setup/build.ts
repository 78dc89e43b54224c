// Builds what is out of date: the native addon with the XDP program (build/native), the functions (build/functions).
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs a step; its output is shown only if it fails. */
function step(name: string, command: string, args: readonly string[]): void {
  const started = performance.now();
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}\n`);
    process.stderr.write(`setup: ${name} failed\n`);
    process.exit(1);
  }
  const seconds = (performance.now() - started) / 1000;
  if (seconds > 2) process.stderr.write(`setup: ${name} (${seconds.toFixed(0)} s)\n`);
}

/** CMake refuses a build folder that was made for another place: after the project was moved, it is made anew. */
function isConfigured(): boolean {
  const cache = `${root}build/native/CMakeCache.txt`;
  if (!existsSync(cache) || !existsSync(`${root}build/native/build.ninja`)) return false;
  return readFileSync(cache, "utf8").includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${root}native\n`);
}

if (!isConfigured()) {
  step("configured the native addon", "cmake", ["--fresh", "-S", "native", "-B", "build/native", "-G", "Ninja"]);
}
step("built the native addon", "cmake", ["--build", "build/native"]);
step("built the functions", process.execPath, ["runtime/function/build-all.ts"]);
