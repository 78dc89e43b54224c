// Where the host puts windows in a function's memory. Functions learn it from the context page (ABI.md, section 2);
// only CONTEXT_ADDRESS is fixed. All addresses are page-aligned; frames at 2 MiB, so that huge pages are possible.
import { CONTEXT_ADDRESS, CONTEXT_BYTES, COUNTER_BYTES, COUNTERS_CAPACITY, MEMORY_BASE } from "../../nfs/sdk/abi.ts";

export const BATCH_ADDRESS = CONTEXT_ADDRESS + CONTEXT_BYTES;
export const RESULTS_ADDRESS = 0x20000;
export const RECORDS_ADDRESS = 0x30000;
export const PORTS_ADDRESS = 0x40000;
export const COUNTERS_ADDRESS = 0x100000;
export const COUNTERS_BYTES = COUNTERS_CAPACITY * COUNTER_BYTES;
export const OUTBOX_ADDRESS = 0x190000;
export const EVENTS_ADDRESS = 0x1b0000;
export const CHUNKS_ADDRESS = 0x1c0000;
/** From here to the frames: columns, segments and the stream buffer, as the chain needs them (chain/windows.ts). */
export const WINDOWS_ADDRESS = 0x200000;
export const FRAMES_ADDRESS = 0x10000000;
/** The largest UMEM that fits below the module's own memory. */
export const FRAMES_BYTES_MAX = MEMORY_BASE - FRAMES_ADDRESS;

export const PAGE_BYTES = 4096;
