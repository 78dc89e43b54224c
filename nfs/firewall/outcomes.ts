// What becomes of packets: one outcome per rule, then one per pair of zones, then those of no rule. Each counts.
import { Counter, Gauge, Packet, Reason } from "../sdk";

export const ACTIONS = ["drop", "accept", "reject"];
export const DROP = 0;
export const ACCEPT = 1;
export const REJECT = 2;
/** Only of rules: counts, and the next rule that matches decides. */
export const COUNT = 3;
export const RULE_ACTIONS = ["drop", "accept", "reject", "count"];

export const REJECTIONS = ["reset", "port-unreachable", "host-unreachable", "prohibited"];
export const RESET = 0;

/** Limits what happens at once: GCRA, by the earliest time at which the next one is in order. */
export class Rate {
  private next: u64 = 0;

  constructor(
    readonly intervalNs: u64,
    readonly burstNs: u64,
  ) {}

  @inline
  take(now: u64): bool {
    const next = max(this.next, now) + this.intervalNs;
    if (next - now > this.burstNs) return false;
    this.next = next;
    return true;
  }
}

@final
export class Outcome {
  action: i32 = DROP;
  rejection: i32 = RESET;
  /** Of a rule that only counts: how many of those there are up to it, with it. */
  passed: u32 = 0;
  /** What a limit says, with the rule's number. */
  isRule: bool = false;
  logs: bool = false;
  text: string = "";
  /** Of packets, or of new connections; by source if it is in the table of sources. */
  rate: Rate | null = null;
  ratesConnections: bool = false;
  ratesSources: bool = false;
  /** Connections of one source; 0: as many as come. */
  connectionLimit: u32 = 0;
  /** New connections beyond it have to prove their source. */
  challenge: Rate | null = null;

  private packets: Counter;
  private bytes: Counter;
  private lastHit: Gauge;

  constructor(
    label: string,
    readonly reason: Reason,
    /** The entry's number in the document, from 1. */
    readonly detail: u32,
  ) {
    this.packets = new Counter("packets", label);
    this.bytes = new Counter("bytes", label);
    this.lastHit = new Gauge("last_hit", label);
  }

  @inline
  count(packet: Packet, seconds: u64): void {
    this.packets.add();
    this.bytes.add(packet.wireLength);
    this.lastHit.value = seconds;
  }
}
