// Which tests have the machine to themselves, one file after the other: those that count what is lost, and those that
// need both cores. All others run two at a time; they compute, or wait for processes and devices of their own.
export const everyTest: readonly string[] = ["test/**/*.test.ts", "nfs/*/test/**/*.test.ts"];

export const testsAlone: readonly string[] = [
  "test/integration/{control-kills,firewall-live,killed-changes,lanes,lanes-change,restart,thousand-changes}.test.ts",
  "test/fault/under-traffic.test.ts",
];
