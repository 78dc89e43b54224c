// Memory that the host keeps for a function: what lies in it outlives the instance.

import { openPrevious, openSegment, previousBytes, previousLayout, segmentBytes } from "./imports";

/**
 * Declared in the manifest and opened at the module's top level or in nf_configure:
 * `const table = new Segment("table");` All bytes are 0 when the chain starts; a later instance finds what an earlier one
 * left.
 */
@final
export class Segment {
  readonly address: usize;
  readonly bytes: u32;

  constructor(name: string) {
    this.address = openSegment(name);
    this.bytes = segmentBytes(name);
  }
}

/**
 * What the version before left in the segment of that name in another layout. It is there in nf_migrate, and until
 * nf_migrate_more has returned 0; opened where a Segment may be, or in nf_migrate:
 * `const old = new PreviousSegment("table"); if (old.address != 0) …`
 */
@final
export class PreviousSegment {
  /** 0 if there is nothing to migrate. */
  readonly address: usize;
  readonly bytes: u32;
  readonly layout: u32;

  constructor(name: string) {
    this.address = openPrevious(name);
    this.bytes = previousBytes(name);
    this.layout = previousLayout(name);
  }
}
