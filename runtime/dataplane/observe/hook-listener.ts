// Frames before and after functions, as packets of a capture.
import { RESULT_FLAG_RESIZED, VERDICT_DROP, VERDICT_HOST } from "../../../nfs/sdk/abi.ts";
import type { Lane } from "../lane.ts";
import type { WatchedFrame } from "../native-mirror.ts";
import type { CaptureWriter } from "./capture-writer.ts";
import type { Hook } from "./lookout-protocol.ts";
import type { FrameAtHop, HopResult, HopTrap, TurnListener } from "./watched-turn.ts";

export class HookListener implements TurnListener {
  readonly #lane: Lane;
  readonly #hooks: readonly Hook[];
  readonly #capture: CaptureWriter;

  constructor(lane: Lane, hooks: readonly Hook[], capture: CaptureWriter) {
    this.#lane = lane;
    this.#hooks = hooks;
    this.#capture = capture;
  }

  before(frame: WatchedFrame, place: FrameAtHop): void {
    this.#add(frame, place, "before", place.bytes, "");
  }

  after(frame: WatchedFrame, place: FrameAtHop, result: HopResult | HopTrap): void {
    if ("message" in result) this.#add(frame, place, "after", place.bytes, `: fault ${result.message}`);
    else this.#add(frame, place, "after", result.bytes, this.#describe(place, result));
  }

  #add(
    frame: WatchedFrame,
    { hop, bytes: given }: FrameAtHop,
    side: Hook["side"],
    bytes: Uint8Array,
    what: string,
  ): void {
    const index = this.#lane.plan.hops[hop]?.function;
    const name = this.#lane.plan.functions[index ?? -1]?.name;
    for (const hook of this.#hooks) {
      if (hook.function !== index || hook.side !== side) continue;
      const cut = Math.max(0, frame.wireLength - frame.received.length);
      this.#capture.add({
        interface: hook.interface,
        timeNs: frame.timeNs,
        bytes: bytes.length === 0 ? given : bytes,
        wireLength: bytes.length + cut,
        direction: side === "before" ? "in" : "out",
        comment: `${side} ${name}${what}`,
      });
    }
  }

  #describe({ hop }: FrameAtHop, { verdict, reason, value, flags }: HopResult): string {
    if (verdict !== VERDICT_DROP && verdict !== VERDICT_HOST) {
      return (flags & RESULT_FLAG_RESIZED) === 0 ? "" : ": resized";
    }
    const names = this.#lane.functions[this.#lane.plan.hops[hop]?.function ?? -1]?.state.reasons;
    const name = names?.[reason] ?? "unknown";
    return `: ${verdict === VERDICT_DROP ? "drop" : "host"} ${name}${value === 0 ? "" : `:${value}`}`;
  }
}
