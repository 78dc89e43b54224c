// All counters of a snapshot by the names under which operators ask for them.
import { engineDropReasons } from "../dataplane/layout.ts";
import type { FunctionSnapshot, Snapshot } from "./snapshot.ts";

/**
 * `fw.frames`, `fw.packets{family=ipv4}`, and `fw.packets` for the sum over all labels; `lan.receive_frames`;
 * `engine.dropped`, `engine.no-path`; `flows.live`. A function's name goes before a port's, and that before the engine's.
 */
export function nameCounters(snapshot: Snapshot): ReadonlyMap<string, number> {
  const drops = Object.fromEntries(engineDropReasons.map((reason) => [reason, 0]));
  const named = new Map<string, number>();
  const put = (owner: string, values: Readonly<Record<string, unknown>>) => {
    for (const [name, value] of Object.entries(values)) {
      if (typeof value === "number") named.set(`${owner}.${name}`, value);
    }
  };
  put("flows", snapshot.flows);
  put("engine", { ...drops, ...snapshot.engineDrops, ...snapshot.lane });
  for (const { name, ...values } of snapshot.ports) put(name, values);
  for (const each of snapshot.functions) put(each.name, nameOwn(each));
  return named;
}

function nameOwn({ reasons, counters, outbox, ...values }: FunctionSnapshot): Record<string, unknown> {
  const own: Record<string, number> = {};
  for (const { name, labels, value } of counters) {
    own[name] = (own[name] ?? 0) + value;
    if (labels !== "") own[`${name}{${labels}}`] = value;
  }
  return { ...reasons, ...own, ...outbox, ...values };
}
