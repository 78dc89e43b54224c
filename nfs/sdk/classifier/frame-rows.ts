// Where the passes of the lookup find the tables, the records and each other's results.
import { MALFORMED_NONE, RECORD_BYTES, RECORD_IP_VERSION, RECORD_MALFORMED } from "../abi";
import { ROOT_BYTES } from "./tables";

/** The tables' root: where Classifier.build writes to. */
export const ROOT = memory.data(ROOT_BYTES, 64);
/** Four u32 per frame: its rows by source, destination, destination port and IP protocol. */
export const FRAME_ROWS = memory.data(4096, 64);
export const ROW_SOURCE = 0;
export const ROW_DESTINATION = 4;
export const ROW_DESTINATION_PORT = 8;
export const ROW_IP_PROTO = 12;

@inline
export function recordAt(records: usize, inputs: usize, index: u32): usize {
  return records + <usize>load<u16>(inputs + (index << 1)) * RECORD_BYTES;
}

/** 0 where a damaged header makes addresses, protocol and ports unreadable or unsure. */
@inline
export function ipVersion(record: usize): u32 {
  return load<u8>(record, RECORD_MALFORMED) == MALFORMED_NONE ? load<u8>(record, RECORD_IP_VERSION) : 0;
}
