// Collects the packets of a capture, and leaves out what its reader is too slow for.
import { type CapturedPacket, formatPacketBlock } from "../../telemetry/pcapng.ts";
import { type CaptureCounts, type CapturePlan, OUTSTANDING_MAX } from "./lookout-protocol.ts";

export class CaptureWriter {
  readonly #plan: CapturePlan;
  readonly #outstanding: Int32Array;
  readonly #send: (bytes: Uint8Array, counts: CaptureCounts) => void;
  readonly #accepted: number[];
  readonly #leftOut: number[];
  #blocks: Uint8Array[] = [];
  #bytes = 0;
  #total = 0;
  #hasNews = false;

  /** `outstanding`: bytes that were sent and not yet taken; who takes them subtracts. */
  constructor(plan: CapturePlan, outstanding: Int32Array, send: (bytes: Uint8Array, counts: CaptureCounts) => void) {
    this.#plan = plan;
    this.#outstanding = outstanding;
    this.#send = send;
    this.#accepted = plan.interfaces.map(() => 0);
    this.#leftOut = plan.interfaces.map(() => 0);
  }

  get isFull(): boolean {
    return this.#plan.count !== null && this.#total >= this.#plan.count;
  }

  add(packet: CapturedPacket): void {
    if (this.isFull) return;
    this.#hasNews = true;
    if (Atomics.load(this.#outstanding, 0) + this.#bytes + packet.bytes.length > OUTSTANDING_MAX) {
      this.#leftOut[packet.interface] = (this.#leftOut[packet.interface] ?? 0) + 1;
      return;
    }
    this.#accepted[packet.interface] = (this.#accepted[packet.interface] ?? 0) + 1;
    this.#total += 1;
    const block = formatPacketBlock({ ...packet, bytes: packet.bytes.subarray(0, this.#plan.snapLength) });
    this.#blocks.push(block);
    this.#bytes += block.length;
  }

  flush(): void {
    if (!this.#hasNews) return;
    this.#hasNews = false;
    const bytes = Uint8Array.from(Buffer.concat(this.#blocks));
    Atomics.add(this.#outstanding, 0, bytes.length);
    this.#blocks = [];
    this.#bytes = 0;
    this.#send(bytes, { accepted: [...this.#accepted], leftOut: [...this.#leftOut] });
  }
}
