// How `sluice function test` runs vitest in a function's folder, wherever that is.
import { join, resolve } from "node:path";
import { defineConfig } from "vitest/config";

const root = resolve(import.meta.dirname, "../..");

export default defineConfig({
  resolve: {
    alias: {
      "sluice/testing": join(root, "runtime/testing/index.ts"),
      vitest: join(root, "node_modules/vitest"),
    },
  },
  cacheDir: join(root, "build/vitest"),
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    testTimeout: 60_000,
    fsModuleCachePath: join(root, "build/vitest/modules"),
  },
});
