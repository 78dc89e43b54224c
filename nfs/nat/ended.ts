// Sessions whose outside address is gone: they end at once, so that their ports are free. Their flows are closed bit by bit,
// since the outbox has room for some thousands only; a packet that comes first closes its own.
import { Flow, FLOW_END_NONE, FLOW_STATE_NONE, flowCapacity, outbox, Packet } from "../sdk";
import { renumbered } from "./reasons";
import { CLOSED, closeSession, ENDED, sessionOf } from "./sessions";
import { base, mappingAt, Session, sessionAt, sessions } from "./store";

/** A quarter of the outbox: the rest is for the batch. */
const CLOSES: u32 = 1024;
const LOOKS: u32 = 16384;

/** The flow to look at next, 0 if there is nothing to close. */
let next: u32 = 0;

/** Ends the sessions that have the outside address; how many there were. */
export function endSessionsOf(address: u32): u32 {
  let count: u32 = 0;
  const first = <u32>(sessions.first - base);
  for (let i: u32 = 0; i < sessions.used; i++) {
    const reference = first + i * sessions.bytes;
    const session = sessionAt(reference);
    if (session.flow == 0 || !hasAddress(session, address)) continue;
    mark(session.flow, reference);
    closeSession(reference);
    count++;
  }
  if (count > 0) next = 1;
  return count;
}

function hasAddress(session: Session, address: u32): bool {
  if (session.mapping != 0 && mappingAt(session.mapping).outsideAddress == address) return true;
  if (session.target != 0 && mappingAt(session.target).outsideAddress == address) return true;
  // Of forwards.
  return session.newSource == address || session.destination == address;
}

function mark(number: u32, reference: u32): void {
  const flow = changetype<Flow>(<usize>number);
  if (number <= flowCapacity && sessionOf.get(flow) == reference) sessionOf.set(flow, ENDED);
}

/** Closes the next flows that have ended. To be called where the outbox is read. */
export function closeEnded(): void {
  if (next == 0) return;
  let closes: u32 = 0;
  const end = min(next + LOOKS, flowCapacity + 1);
  for (; next < end && closes < CLOSES; next++) {
    const flow = changetype<Flow>(<usize>next);
    if (sessionOf.get(flow) == ENDED && close(flow)) closes++;
  }
  if (next > flowCapacity) next = 0;
}

function close(flow: Flow): bool {
  sessionOf.set(flow, CLOSED);
  return flow.state != FLOW_STATE_NONE && flow.end == FLOW_END_NONE && outbox.close(flow);
}

/** Whether the flow's session has lost its outside address: the packet is dropped, the next one begins a new flow. */
@inline
export function isEnded(packet: Packet, flow: Flow, reference: u32): bool {
  if (reference != ENDED && reference != CLOSED) return false;
  if (reference == ENDED) close(flow);
  packet.drop(renumbered);
  return true;
}
