import { configDefaults, defineConfig } from "vitest/config";
import { everyTest, testsAlone } from "./test/support/test-groups.ts";

const common = { pool: "forks", testTimeout: 60_000, hookTimeout: 60_000 } as const;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: "beside",
          include: [...everyTest],
          exclude: [...configDefaults.exclude, ...testsAlone],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: { ...common, name: "alone", include: [...testsAlone], maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
