// The batch that nf_process works on. Rewritten by the host before every call.

import { BATCH_COUNT, BATCH_HOP, BATCH_INPUT, BATCH_TIME, RECORD_BYTES } from "./abi";
import { batchAddress, recordsAddress } from "./context";
import { Packet, positions } from "./packet";
import { Record } from "./record";

@unmanaged
@final
class Batch {
  /** Frames in this batch, 0 … BATCH_CAPACITY. */
  @inline
  get count(): i32 {
    return load<i32>(changetype<usize>(this), BATCH_COUNT);
  }

  /** Which hop of the chain this call is for: a function may stand in several paths. */
  @inline
  get hop(): u32 {
    return load<u32>(changetype<usize>(this), BATCH_HOP);
  }

  /** Nanoseconds since 1970-01-01T00:00Z, the same for the whole batch; capture time in replay. Never goes back. */
  @inline
  get time(): u64 {
    return load<u64>(changetype<usize>(this), BATCH_TIME);
  }

  /** What the host knows of the i-th packet, for functions that only look. Unchecked: `i` must be below `count`. */
  @inline
  record(i: i32): Record {
    const record = <usize>load<u16>(changetype<usize>(this) + ((<usize>i) << 1), BATCH_INPUT);
    return changetype<Record>(recordsAddress + record * RECORD_BYTES);
  }

  /** The i-th packet. Unchecked: `i` must be below `count`. Valid until nf_process returns. */
  @inline
  packet(i: i32): Packet {
    const record = <usize>load<u16>(changetype<usize>(this) + ((<usize>i) << 1), BATCH_INPUT);
    store<u8>(positions + record, <u8>i);
    return changetype<Packet>(recordsAddress + record * RECORD_BYTES);
  }
}

export const batch = changetype<Batch>(batchAddress);
