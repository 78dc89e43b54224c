// What every function exports unchanged: `export { nf_abi } from "../sdk/exports";`

import { ABI_VERSION } from "./abi";

/** The ABI that the module was built for. The host reads the constant from the code, before anything runs. */
export function nf_abi(): i32 {
  return ABI_VERSION;
}
