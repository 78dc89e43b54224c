// The entries that a tap writes, as packets of a capture.
import type { CapturedPacket } from "../../telemetry/pcapng.ts";
import {
  TAP_DETAIL,
  TAP_ENGINE,
  TAP_ENTRY_BYTES,
  TAP_HOP,
  TAP_KEPT,
  TAP_KIND,
  TAP_LEAVES,
  TAP_NO_OUTCOME,
  TAP_NUMBER,
  TAP_PORT,
  TAP_REASON,
  TAP_TIME,
  TAP_TO,
  TAP_WIRE_LENGTH,
} from "../layout.ts";
import { formatEnding, nameEnding } from "./endings.ts";
import type { WatchedChain } from "./frame-filter.ts";

/** The packets of what `MirrorTap.read` wrote; their interfaces are the ports. Their bytes are those of `entries`. */
export function* readTapEntries(entries: Uint8Array, chain: WatchedChain): Generator<CapturedPacket> {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
  for (let at = 0; at < entries.length; ) {
    const kept = view.getUint32(at + TAP_KEPT, true);
    const leaves = view.getUint8(at + TAP_LEAVES) === 1;
    const first = at + TAP_ENTRY_BYTES;
    yield {
      interface: view.getUint8(at + (leaves ? TAP_TO : TAP_PORT)),
      timeNs: view.getBigUint64(at + TAP_TIME, true),
      bytes: entries.subarray(first, first + kept),
      wireLength: view.getUint32(at + TAP_WIRE_LENGTH, true),
      direction: leaves ? "out" : "in",
      comment: leaves ? describeOrigin(view, at, chain) : describeEnd(view, at, chain),
    };
    at = first + Math.ceil(kept / 8) * 8;
  }
}

function describeOrigin(view: DataView, at: number, { plan }: WatchedChain): string {
  if (view.getBigUint64(at + TAP_NUMBER, true) === 0n) return "built by a function, or a fragment that waited";
  return `from ${plan.ports[view.getUint8(at + TAP_PORT)]?.name}`;
}

function describeEnd(view: DataView, at: number, chain: WatchedChain): string {
  const kind = view.getUint8(at + TAP_KIND);
  if (kind === TAP_NO_OUTCOME) return "waits for other fragments";
  return formatEnding(
    nameEnding(chain, {
      kind,
      to: view.getUint8(at + TAP_TO),
      hop: view.getInt16(at + TAP_HOP, true),
      reason: view.getUint16(at + TAP_REASON, true),
      byEngine: view.getUint8(at + TAP_ENGINE) === 1,
      detail: view.getUint32(at + TAP_DETAIL, true),
    }),
  );
}
