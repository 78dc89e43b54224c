// An endpoint that one side of a session names to the other: the outside endpoint that has to stand in its place, and
// the flow to it that is then expected.
//
//   side 0 is `source`, and the other side sees `newSource`; side 1 is `newDestination`, and is seen as `destination`
import { Flow } from "../sdk";
import { holdEndpoint } from "./endpoints";
import { expectInward, expectOutward, tellExpected } from "./expectations";
import { findInward } from "./rules";
import { dropUnused } from "./sessions";
import { CROSSES, mappingAt, Session } from "./store";

/** What the other side has to call. */
export let announcedAddress: u32 = 0;
export let announcedPort: u32 = 0;

@inline
export function ownAddress(session: Session, side: u32): u32 {
  return side == 0 ? session.source : session.newDestination;
}

/** As the other side knows it. */
@inline
export function seenAddress(session: Session, side: u32): u32 {
  return side == 0 ? session.newSource : session.destination;
}

/** Sets what is to be announced. False if there is no port or no room: then nothing is expected. */
export function announce(
  flow: Flow,
  session: Session,
  side: u32,
  ipProto: u32,
  address: u32,
  port: u32,
  milliseconds: u32,
): bool {
  const other = side ^ 1;
  const seen = seenAddress(session, side);
  const caller = ownAddress(session, other);
  // Of NAT64's: the caller is an IPv4 host, and is no other to who is called.
  const callerSeen = (session.families & CROSSES) != 0 ? caller : seenAddress(session, other);
  const isTranslated = ownAddress(session, side) != seen;
  announcedAddress = isTranslated ? seen : address;
  announcedPort = port;
  if (isTranslated && !isOneToOne(seen, address)) {
    const mapping = holdEndpoint(address, port, ipProto, seen);
    if (mapping == 0) return false;
    if (!expectInward(mapping, callerSeen, milliseconds, false)) {
      dropUnused(mapping);
      return false;
    }
    mappingAt(mapping).port = side == 0 ? session.entryPort : session.exitPort;
    announcedPort = mappingAt(mapping).outsidePort;
  }
  if (caller != callerSeen) {
    expectOutward(caller, announcedAddress, announcedPort, ipProto, callerSeen, milliseconds);
  }
  tellExpected(flow, ipProto, caller, announcedAddress, announcedPort, milliseconds);
  return true;
}

/** Whether the two stand for each other, with all ports. */
export function isOneToOne(outside: u32, inside: u32): bool {
  const rule = findInward(outside);
  return rule !== null && rule.joins(inside, outside);
}
