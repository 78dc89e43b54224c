// Reasons that several files give for a drop.
import { batch, Packet, Reason, reply } from "../sdk";
import { outsidePorts } from "./rules";

export const noPort = new Reason("no-port");
export const noAddress = new Reason("no-address");
export const renumbered = new Reason("renumbered");
export const limit = new Reason("limit");
export const filtered = new Reason("filtered");
export const noMapping = new Reason("no-mapping");
export const hairpinOff = new Reason("hairpin-off");
export const noSession = new Reason("no-session");
export const mismatch = new Reason("mismatch");
export const lateFragment = new Reason("late-fragment");
export const ipProtoReason = new Reason("ip-proto");
export const noFlow = new Reason("no-flow");
export const strayError = new Reason("stray-icmp-error");
export const badError = new Reason("bad-icmp-error");
export const badSource = new Reason("bad-source");
export const badDestination = new Reason("bad-destination");

/** ICMP: communication administratively prohibited. */
const PROHIBITED_4: u32 = 13;
const PROHIBITED_6: u32 = 1;
/** Errors in one second of the batch clock at the most (RFC 1812, section 4.3.2.8). */
const ERRORS_PER_SECOND: u32 = 1000;
const SECOND_NS: u64 = 1_000_000_000;

let tells: bool = false;
let second: u64 = 0;
let told: u32 = 0;

/** Whether inside hosts are told what they are refused. */
export function setTelling(whether: bool): void {
  tells = whether;
}

/** Drops what gets no session; an inside host is told so, nobody outside is (RFC 5508, REQ-8 and REQ-9). */
export function refuse(packet: Packet, reason: Reason): void {
  packet.drop(reason);
  if (!tells || unchecked(outsidePorts[packet.port]) != 0) return;
  if (batch.time / SECOND_NS != second) {
    second = batch.time / SECOND_NS;
    told = 0;
  }
  told++;
  if (told <= ERRORS_PER_SECOND) reply.unreachable(packet, PROHIBITED_4, PROHIBITED_6);
}
