/**
 * What one direction of a TCP connection delivers, byte by byte and without limits: the reference for the stream table.
 * Bytes that were delivered stand; of copies of a byte that still waits, the policy's counts.
 */
export type OverlapPolicy = "first" | "last";

export interface StreamPart {
  /** Of the first byte in the stream. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class StreamModel {
  readonly #policy: OverlapPolicy;
  readonly #waiting = new Map<number, { byte: number; doubtful: boolean }>();
  readonly delivered: number[] = [];
  /** Offsets of bytes of which two copies differed while they waited. */
  readonly doubts = new Set<number>();

  constructor(policy: OverlapPolicy) {
    this.#policy = policy;
  }

  push({ offset, bytes }: StreamPart): void {
    bytes.forEach((byte, index) => {
      this.#take(offset + index, byte);
    });
    this.#deliver();
  }

  #take(offset: number, byte: number): void {
    if (offset < this.delivered.length) return;
    const earlier = this.#waiting.get(offset);
    if (earlier === undefined) {
      this.#waiting.set(offset, { byte, doubtful: false });
      return;
    }
    earlier.doubtful ||= earlier.byte !== byte;
    if (this.#policy === "last") earlier.byte = byte;
  }

  #deliver(): void {
    for (;;) {
      const offset = this.delivered.length;
      const next = this.#waiting.get(offset);
      if (next === undefined) return;
      this.#waiting.delete(offset);
      this.delivered.push(next.byte);
      if (next.doubtful) this.doubts.add(offset);
    }
  }
}
