// Lookouts on all lanes of a chain that answer one question together. Each lane's packets are in order; those of different
// lanes come as they are told.
import { SluiceError } from "../../errors.ts";
import type { Copied, Lookout, LookoutEnd, LookoutListener } from "./lookout.ts";
import type { TracedPacket } from "./trace-events.ts";

/** Starts one on the lane. Throws watch-limit, system-call. */
type StartLookout = (lane: number, listener: LookoutListener) => Lookout;

export class LookoutGroup {
  /** When all lanes are looked at. Rejects with what keeps one from that. */
  readonly started: Promise<Copied>;
  /** When none is any more. */
  readonly ended: Promise<LookoutEnd>;
  readonly #listener: LookoutListener;
  readonly #lookouts: Lookout[] = [];
  readonly #packetsMax: number;
  #packets = 0;
  /** Of the lanes that began first, until all have and whoever asked knows. */
  #held: TracedPacket[] | undefined = [];
  #why: string | undefined;

  /** At most `packetsMax` packets are told of. Throws what the first lane's throws. */
  constructor(lanes: readonly number[], start: StartLookout, listener: LookoutListener, packetsMax = Infinity) {
    this.#listener = listener;
    this.#packetsMax = packetsMax;
    const [lane = 0, ...others] = lanes;
    const first = start(lane, this.#hear(true));
    this.#lookouts.push(first);
    this.started = this.#startOthers(first, others, start);
    this.started.then(
      () => setImmediate(() => this.#release()),
      (error) => this.stop((error as Error).message),
    );
    this.ended = this.#end(first);
  }

  stop(why: string): void {
    this.#why ??= why;
    for (const lookout of this.#lookouts) lookout.stop(why);
  }

  async #startOthers(first: Lookout, others: readonly number[], start: StartLookout): Promise<Copied> {
    const copies = [await first.started];
    for (const lane of others) {
      if (this.#why !== undefined) throw new SluiceError({ code: "watch-failed", where: "lanes", what: this.#why });
      this.#lookouts.push(start(lane, this.#hear(false)));
    }
    for (const lookout of this.#lookouts.slice(1)) copies.push(await lookout.started);
    return {
      copiedBytes: copies.reduce((sum, { copiedBytes }) => sum + copiedBytes, 0),
      pauseUs: Math.max(...copies.map(({ pauseUs }) => pauseUs)),
    };
  }

  /** The header of a capture is that of the first lane. */
  #hear(isFirst: boolean): LookoutListener {
    const { onBytes } = this.#listener;
    let isHeader = !isFirst;
    return {
      onBytes: (bytes, taken) => {
        if (isHeader) taken();
        else onBytes?.(bytes, taken);
        isHeader = false;
      },
      onPacket: (packet) => {
        if (this.#held === undefined) this.#tell(packet);
        else if (this.#held.length < this.#packetsMax) this.#held.push(packet);
      },
    };
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const packet of held) this.#tell(packet);
  }

  #tell(packet: TracedPacket): void {
    if (this.#packets >= this.#packetsMax) return;
    this.#packets += 1;
    this.#listener.onPacket?.(packet);
    if (this.#packets === this.#packetsMax) this.stop("all that was asked for");
  }

  /** If one ends, the others do. */
  async #end(first: Lookout): Promise<LookoutEnd> {
    await this.started.catch(() => {});
    const endings = this.#lookouts.map(async (lookout) => {
      const end = await lookout.ended;
      this.stop(end.why);
      return end;
    });
    const ends = await Promise.all(endings);
    const { why } = await first.ended;
    if (this.#held !== undefined) await new Promise((resolve) => setImmediate(resolve));
    return { why: this.#why ?? why, missed: ends.reduce((sum, { missed }) => sum + missed, 0) };
  }
}
