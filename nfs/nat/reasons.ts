// Reasons that several files give for a drop.
import { Reason } from "../sdk";

export const noPort = new Reason("no-port");
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
