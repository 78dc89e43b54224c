// Which tests have the machine to themselves, one file after the other: those that count what is lost at a rate. All
// others run two at a time; they compute, or wait for processes and devices of their own.
export const everyTest: readonly string[] = ["test/**/*.test.ts", "nfs/*/test/**/*.test.ts"];

export const testsAlone: readonly string[] = [
  "test/integration/{firewall-live,lanes,lanes-change,lanes-routed,restart-traffic,thousand-changes}.test.ts",
  "test/fault/under-traffic.test.ts",
];
