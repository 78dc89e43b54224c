// The function, and where its tables are: for its native twin (test/bench), which reads the very same tables.

import { ROOT } from "../../sdk/classifier/frame-rows";
import { unmatched } from "../policy";
export { nf_abi, nf_configure, nf_process } from "../index";

export function tables(): usize {
  return ROOT;
}

export function unmatchedCounter(): usize {
  return changetype<usize>(unmatched);
}
