// Which tests have the machine to themselves, one file after the other: those with namespaces, devices and engines, for
// which two cores are few. All others run beside each other; they compute, or wait for processes of their own.
export const everyTest: readonly string[] = ["test/**/*.test.ts", "nfs/*/test/**/*.test.ts"];

export const testsAlone: readonly string[] = [
  "test/integration/!(ipfix|labels|replay|replay-lanes|replay-routes|swap-captures).test.ts",
  "test/fault/{recorder,under-traffic}.test.ts",
  "test/native/{afxdp,flow-recovery,network,probe,steering}.test.ts",
  "test/unit/api-contract.test.ts",
];
