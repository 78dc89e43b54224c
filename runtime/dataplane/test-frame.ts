// A frame that goes through a running chain, and in words what became of it.
import { setTimeout as sleep } from "node:timers/promises";
import { SluiceError } from "../errors.ts";
import { exitName } from "./exit-name.ts";
import { engineDropReasons, type OutcomeKind, outcomeKinds } from "./layout.ts";
import type { NativeLane, TestFrameFate } from "./native.ts";
import type { EngineDescription } from "./state-folder.ts";

export interface TestFrameOutcome {
  readonly kind: OutcomeKind;
  /** The port where it would have left, if it was forwarded. */
  readonly to: string | null;
  /** The function that decided; null for the engine. */
  readonly function: string | null;
  /** Empty for "forward" and "consume". */
  readonly reason: string;
  /** As it would have left; empty unless it was forwarded. */
  readonly bytes: Uint8Array;
}

interface TestFrame {
  readonly port: string;
  readonly bytes: Uint8Array;
  readonly signal: AbortSignal;
}

const LOOK_EVERY_MS = 2;

/** `wake` wakes the lane. Throws upgrade-failed if the frame cannot be sent, or the signal's reason. */
export async function sendTestFrame(
  lane: NativeLane,
  engine: EngineDescription,
  { port, bytes, signal }: TestFrame,
  wake: () => void,
): Promise<TestFrameOutcome> {
  const index = engine.ports.findIndex(({ name }) => name === port);
  const refuse = (what: string) => new SluiceError({ code: "upgrade-failed", where: engine.chain, what });
  if (index < 0) throw refuse(`there is no port "${port}" to probe`);
  while (!lane.sendTestFrame(index, bytes)) await pauseFor(signal);
  wake();
  try {
    for (;;) {
      const fate = lane.takeTestFrame();
      if (fate !== null) return describe(fate, engine);
      await pauseFor(signal);
    }
  } catch (error) {
    lane.abandonTestFrame();
    throw error;
  }
}

async function pauseFor(signal: AbortSignal): Promise<void> {
  await sleep(LOOK_EVERY_MS);
  signal.throwIfAborted();
}

function describe(
  { kind, to, hop, reason, engine: byEngine, detail, bytes }: TestFrameFate,
  engine: EngineDescription,
) {
  const name = outcomeKinds[kind] as OutcomeKind;
  const decided = hop < 0 ? undefined : engine.functions[engine.hops[hop]?.function ?? -1];
  const known = byEngine ? engineDropReasons : (decided?.reasons ?? []);
  const isReasoned = name !== "forward" && name !== "consume";
  const word = isReasoned ? (known[reason] ?? "unknown") : "";
  return {
    kind: name,
    to: name === "forward" ? exitName(engine.ports, to) : null,
    function: decided?.name ?? null,
    reason: word !== "" && detail !== 0 ? `${word}:${detail}` : word,
    bytes,
  };
}
