// Network address translation: README.md says what the rules mean, store.ts what is remembered.
import { batch, events, Packet } from "../sdk";
import { tellBlocks } from "./block-log";
import { closeEnded } from "./ended";
import { sweepExpectations } from "./expectations";
import { messagesFit } from "./message-store";
import { followAddresses } from "./own-addresses";
import { prefixRules, translatePrefixes } from "./prefixes";
import { protocolsFit } from "./protocol-store";
import { forwards, hasRules6, oneToOnes, poolRules } from "./rules";
import { nat64Rules } from "./rules64";
import { endFlow, sweep } from "./sessions";
import { readSettings } from "./settings";
import { fits } from "./store";
import { translate4 } from "./translate";
import { translate6 } from "./translate6";
export { nf_abi } from "../sdk/exports";

/** Sessions looked at per millisecond: all 131072 within half a second. */
const SWEEP: u32 = 256;

/** Flows may have ended in a silence without anybody having been told yet: nobody may call their mappings. */
const SILENCE_NS: u64 = 1_000_000_000;

let translates4 = false;
let translates6 = false;
let lastTime: u64 = 0;

export function nf_configure(json: string): bool {
  const accepted = readSettings(json);
  translates4 = poolRules.length + forwards.length + oneToOnes.length > 0;
  translates6 = hasRules6 || nat64Rules.length > 0;
  return accepted && fits() && protocolsFit() && messagesFit();
}

export function nf_process(): void {
  if (batch.time - lastTime > SILENCE_NS) sweep(u32.MAX_VALUE);
  lastTime = batch.time;
  followAddresses();
  closeEnded();
  for (let i = 0; i < batch.count; i++) translate(batch.packet(i));
  if (batch.count > 0) tellBlocks();
}

function translate(packet: Packet): void {
  const ipv4 = packet.ipv4;
  if (ipv4 !== null) {
    if (translates4) translate4(packet, ipv4);
    return;
  }
  const ipv6 = packet.ipv6;
  if (ipv6 === null || (translates6 && translate6(packet, ipv6))) return;
  if (prefixRules.length > 0) translatePrefixes(packet, ipv6);
}

export function nf_events(): void {
  for (let i = 0; i < events.count; i++) endFlow(events.at(i).flow);
  closeEnded();
  tellBlocks();
}

export function nf_tick(): void {
  followAddresses();
  sweep(SWEEP);
  sweepExpectations(SWEEP);
}
