// The segments that outlive a generation, by name: files of the chain's state folder, or memory of this process where
// there is none. The same name is the same pages, for every generation that opens it.
import type { NativeAddon, Segment } from "./native.ts";

export class SegmentStore {
  readonly #native: NativeAddon;
  readonly #pathOf: ((name: string) => string) | undefined;
  readonly #open = new Map<string, Segment>();

  /** `pathOf` names the file of a segment; without it all end with the process. */
  constructor(native: NativeAddon, pathOf?: (name: string) => string) {
    this.#native = native;
    this.#pathOf = pathOf;
  }

  /** Made of zeros if there is none of that name. Throws internal if there is one of another size. */
  open(name: string, bytes: number): Segment {
    const known = this.#open.get(name);
    if (known !== undefined && known.bytes !== bytes) {
      throw new Error(`segment ${name} has ${known.bytes} bytes, not ${bytes}`);
    }
    const segment = known ?? this.#native.openSegment(bytes, this.#pathOf?.(name));
    this.#open.set(name, segment);
    return segment;
  }
}
