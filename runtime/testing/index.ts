// What a function's tests import: `import { openFunction } from "sluice/testing"`.
export {
  type FunctionTestOptions,
  FunctionUnderTest,
  openFunction,
  openPackage,
  type Sent,
} from "./function-under-test.ts";
export { encodePacket, formatPacket } from "./packet-text.ts";
