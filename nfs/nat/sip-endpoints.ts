// Which endpoint stands for which in a SIP message: the sender's own become those that the receiver sees, and what the
// sender knows of the receiver becomes the receiver's own.
import { Flow } from "../sdk";
import { addressAt, isIpv6 } from "./addresses";
import { isOneToOne, ownAddress, seenAddress } from "./announce";
import { holdEndpoint } from "./endpoints";
import { expectInward, tellExpected } from "./expectations";
import { mappingOfOutside } from "./mappings";
import { dropUnused } from "./sessions";
import { mappingAt, Session } from "./store";

/** Endpoints that a message names live so long if nothing comes. */
export const ENDPOINT_MS: u32 = 180_000;

export let flowOfMessage: Flow | null = null;
/** By which the message came: what it names for calls is reached by the same. */
export let ipProtoOfMessage: u32 = 0;
let side: u32 = 0;

// The sender's address, as it has it and as the receiver sees it; and the receiver's likewise. Ports are the session's.
export let senderOwn: u32 = 0;
export let senderSeen: u32 = 0;
let senderOwnPort: u32 = 0;
let senderSeenPort: u32 = 0;
export let receiverOwn: u32 = 0;
export let receiverSeen: u32 = 0;
export let receiverOwnPort: u32 = 0;
export let receiverSeenPort: u32 = 0;
let entryPort: u8 = 0;

export function beginMessage(flow: Flow, ipProto: u32, session: Session, from: u32): void {
  flowOfMessage = flow;
  ipProtoOfMessage = ipProto;
  side = from;
  senderOwn = ownAddress(session, from);
  senderSeen = seenAddress(session, from);
  receiverOwn = ownAddress(session, from ^ 1);
  receiverSeen = seenAddress(session, from ^ 1);
  senderOwnPort = from == 0 ? session.sourcePort : session.newDestinationPort;
  senderSeenPort = from == 0 ? session.newSourcePort : session.destinationPort;
  receiverOwnPort = from == 0 ? session.newDestinationPort : session.sourcePort;
  receiverSeenPort = from == 0 ? session.destinationPort : session.newSourcePort;
  entryPort = from == 0 ? session.entryPort : session.exitPort;
}

@inline
export function isSenderTranslated(): bool {
  return senderOwn != senderSeen;
}

/** The word of an IPv6 address that is the sender's own, or stands for the receiver; 0 if it is neither. */
export function partyOf(high: u64, low: u64): u32 {
  if (isAddress(senderOwn, high, low)) return senderOwn;
  return isAddress(receiverSeen, high, low) ? receiverSeen : 0;
}

@inline
function isAddress(word: u32, high: u64, low: u64): bool {
  return isIpv6(word) && addressAt(word).high == high && addressAt(word).low == low;
}

/** What stands for the endpoint that was translated last. */
export let newAddress: u32 = 0;
export let newPort: u32 = 0;

/** False if the endpoint stays as it is. */
export function translateEndpoint(address: u32, port: u32): bool {
  let found: i32 = -1;
  if (address == senderOwn && senderOwn != senderSeen) {
    newAddress = senderSeen;
    found = outward(port);
  } else if (address == receiverSeen && receiverSeen != receiverOwn) {
    newAddress = receiverOwn;
    found = inward(port);
  }
  newPort = <u32>found;
  return found >= 0;
}

/** An address without a port. */
export function translateAddress(address: u32): bool {
  if (address == senderOwn && senderOwn != senderSeen) newAddress = senderSeen;
  else if (address == receiverSeen && receiverSeen != receiverOwn) newAddress = receiverOwn;
  else return false;
  return true;
}

function outward(port: u32): i32 {
  if (port == senderOwnPort) return senderSeenPort;
  if (isOneToOne(senderSeen, senderOwn)) return port;
  const mapping = holdEndpoint(senderOwn, port, ipProtoOfMessage, senderSeen);
  if (mapping == 0 || !expectAt(mapping, receiverSeen)) return -1;
  return mappingAt(mapping).outsidePort;
}

function inward(port: u32): i32 {
  if (port == receiverSeenPort) return receiverOwnPort;
  if (isOneToOne(receiverSeen, receiverOwn)) return port;
  const mapping = mappingOfOutside(receiverSeen, port, ipProtoOfMessage);
  const isOwn = mapping != 0 && mappingAt(mapping).insideAddress == receiverOwn;
  return isOwn ? <i32>mappingAt(mapping).insidePort : -1;
}

/** Lets `source` call the sender's mapping for a while; a mapping that nobody can be expected at is given back. */
export function expectAt(mapping: u32, source: u32): bool {
  if (!expectInward(mapping, source, ENDPOINT_MS, true)) {
    dropUnused(mapping);
    return false;
  }
  mappingAt(mapping).port = entryPort;
  const flow = flowOfMessage;
  const called = mappingAt(mapping);
  const caller = source == 0 ? 0 : receiverOwn;
  if (flow === null) return true;
  tellExpected(flow, called.ipProto, caller, called.outsideAddress, called.outsidePort, ENDPOINT_MS);
  return true;
}
