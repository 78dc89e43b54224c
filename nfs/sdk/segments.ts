// Memory that the host keeps for a function: what lies in it outlives the instance.

import { openSegment, segmentBytes } from "./imports";

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
