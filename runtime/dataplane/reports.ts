// The reports that a lane leaves for other processes (native/src/report_ring.h): where they are, and what is wanted.
import {
  REPORT_DROP_EVERY,
  REPORT_DROP_EVERY_OFFSET,
  REPORT_DROPS_PER_SECOND,
  REPORT_DROPS_PER_SECOND_OFFSET,
  REPORT_HEADER_BYTES,
  REPORT_RING_BYTES,
} from "./layout.ts";
import type { Segment } from "./native.ts";

/** Their segment's name. */
export const REPORTS = "reports";
/** Files beside it, of whoever reads them and exports flows: how far they were read, what of each flow was exported. */
export const REPORTS_READ = "reports-read";
export const EXPORTED_FLOWS = "exported-flows";
export const REPORTS_BYTES = REPORT_HEADER_BYTES + REPORT_RING_BYTES;

/** Which drops are reported: one of `sample` (0: none), at most so many in a second. */
export interface DropSampling {
  readonly sample: number;
  readonly perSecond: number;
}

export const defaultDropSampling: DropSampling = { sample: REPORT_DROP_EVERY, perSecond: REPORT_DROPS_PER_SECOND };

/** From the lane's next drop on. */
export function setDropSampling(reports: Segment, { sample, perSecond }: DropSampling): void {
  const words = new Uint32Array(reports.buffer, 0, REPORT_HEADER_BYTES / 4);
  Atomics.store(words, REPORT_DROP_EVERY_OFFSET / 4, sample);
  Atomics.store(words, REPORT_DROPS_PER_SECOND_OFFSET / 4, perSecond);
}
