// Sessions: one per translated flow. A session lives as long as the flow whose column names it; whatever became of the
// events that tell of ends, a sweep finds those that do not.
import { batch, Column, Flow, FLOW_END_NONE, FLOW_STATE_NONE, flowCapacity } from "../sdk";
import { addressAt, hold, isIpv6, release } from "./addresses";
import { releaseHost } from "./hosts";
import { dropMapping } from "./mappings";
import { giveConnection } from "./message-store";
import { controls, PROTOCOL_LAST } from "./protocol-store";
import { ADDRESS_AND_PORT_DEPENDENT, INDEPENDENT } from "./rules";
import {
  bucketOf,
  header,
  hostAt,
  mappingAt,
  Permission,
  permissionAt,
  permissionBuckets,
  permissions,
  Session,
  sessionAt,
  sessions,
  base,
  unlink,
} from "./store";

/** In place of a session: no rule translates the flow. */
export const UNTRANSLATED: u32 = 1;
/** Its outside address is gone: the flow is to be closed, or the host has been told to. */
export const ENDED: u32 = 2;
export const CLOSED: u32 = 3;

export const sessionOf = new Column<u32>("nat.session");
const insideAddress = new Column<u32>("nat.inside_address");
const insidePort = new Column<u16>("nat.inside_port");
const insideHigh = new Column<u64>("nat.inside_high");
const insideLow = new Column<u64>("nat.inside_low");
const outsideAddress = new Column<u32>("nat.outside_address");
const outsideHigh = new Column<u64>("nat.outside_high");
const outsideLow = new Column<u64>("nat.outside_low");
const outsidePort = new Column<u16>("nat.outside_port");

/** Reference of the flow's session, one of the words above, or 0 if nothing was decided yet. */
@inline
export function sessionReferenceOf(flow: Flow): u32 {
  const reference = sessionOf.get(flow);
  return reference <= CLOSED || sessionAt(reference).flow == flow.number ? reference : 0;
}

export function leaveAlone(flow: Flow): void {
  sessionOf.set(flow, UNTRANSLATED);
}

/** Says in columns who is behind the flow, for alerts and logs. */
export function name(flow: Flow, inside: u32, innerPort: u32, outside: u32, outerPort: u32): void {
  if (isIpv6(inside)) nameInside6(flow, inside);
  else insideAddress.set(flow, inside);
  insidePort.set(flow, <u16>innerPort);
  if (isIpv6(outside)) nameOutside6(flow, outside);
  else outsideAddress.set(flow, outside);
  outsidePort.set(flow, <u16>outerPort);
}

function nameInside6(flow: Flow, inside: u32): void {
  insideHigh.set(flow, addressAt(inside).high);
  insideLow.set(flow, addressAt(inside).low);
}

function nameOutside6(flow: Flow, outside: u32): void {
  outsideHigh.set(flow, addressAt(outside).high);
  outsideLow.set(flow, addressAt(outside).low);
}

/** A session for the flow, with references to what it keeps alive; 0 if there is no room. */
export function openSession(flow: Flow, mapping: u32, target: u32, permission: u32, host: u32): u32 {
  const reference = sessions.take();
  if (reference == 0) return 0;
  const session = sessionAt(reference);
  session.flow = flow.number;
  session.mapping = mapping;
  session.target = target;
  session.permission = permission;
  session.host = host;
  if (mapping != 0) mappingAt(mapping).sessions++;
  if (target != 0) mappingAt(target).sessions++;
  if (permission != 0) permissionAt(permission).sessions++;
  if (host != 0) hostAt(host).sessions++;
  sessionOf.set(flow, reference);
  return reference;
}

export function closeSession(reference: u32): void {
  const session = sessionAt(reference);
  if (session.families != 0) releaseTuples(session);
  if (session.host != 0) {
    hostAt(session.host).sessions--;
    releaseHost(session.host);
  }
  if (session.permission != 0) releasePermission(session.permission);
  if (session.mapping != 0) releaseMapping(session.mapping);
  if (session.target != 0) releaseMapping(session.target);
  if (session.control > PROTOCOL_LAST) controls.give(session.control);
  if (session.connection != 0) giveConnection(session);
  sessions.give(reference);
}

/** Both tuples of a session that is not of IPv4 alone, held as long as it lives. */
export function setTuples(session: Session, source: u32, destination: u32, newSource: u32, newDestination: u32): void {
  session.source = hold(source);
  session.destination = hold(destination);
  session.newSource = hold(newSource);
  session.newDestination = hold(newDestination);
}

function releaseTuples(session: Session): void {
  release(session.source);
  release(session.destination);
  release(session.newSource);
  release(session.newDestination);
}

/** Takes a session back that was opened for nothing. */
export function dropSession(flow: Flow, reference: u32): void {
  sessionOf.set(flow, 0);
  closeSession(reference);
}

export function releaseMapping(reference: u32): void {
  const mapping = mappingAt(reference);
  mapping.sessions--;
  dropUnused(reference);
}

/** Takes a mapping back that no session uses. */
export function dropUnused(reference: u32): void {
  if (reference != 0 && mappingAt(reference).sessions == 0) dropMapping(reference);
}

function isLive(reference: u32): bool {
  const flow = changetype<Flow>(<usize>sessionAt(reference).flow);
  // A chain with fewer flows may have taken over.
  if (flow.number > flowCapacity) return false;
  if (sessionOf.get(flow) != reference || flow.state == FLOW_STATE_NONE || flow.end != FLOW_END_NONE) return false;
  // The host ends a flow whose time is over at the end of the turn, or before its next frame.
  return flow.deadline > batch.time;
}

/** Ends the session of a flow that has ended. Its number may be a new flow's by now. */
export function endFlow(flow: Flow): void {
  const reference = sessionOf.get(flow);
  if (reference <= CLOSED || sessionAt(reference).flow != flow.number || isLive(reference)) return;
  sessionOf.set(flow, 0);
  closeSession(reference);
}

/** Looks at the next so many places of sessions, and ends those whose flow has ended. */
export function sweep(count: u32): void {
  const used = sessions.used;
  const first = <u32>(sessions.first - base);
  for (let i: u32 = 0; i < count && i < used; i++) {
    const at = header.sweep < used ? header.sweep : 0;
    header.sweep = at + 1;
    const reference = first + at * sessions.bytes;
    if (sessionAt(reference).flow != 0 && !isLive(reference)) closeSession(reference);
  }
}

// ---- permissions: who may call a mapping (RFC 4787, section 5) ----

@inline
function portFor(filtering: u32, port: u32): u32 {
  return filtering == ADDRESS_AND_PORT_DEPENDENT ? port : 0;
}

@inline
function bucketFor(mapping: u32, address: u32, port: u32): usize {
  return bucketOf(permissionBuckets, ((<u64>mapping) << 32) | address, port);
}

function search(mapping: u32, address: u32, port: u32): u32 {
  let reference = load<u32>(bucketFor(mapping, address, port));
  while (reference != 0) {
    const permission = permissionAt(reference);
    if (permission.mapping == mapping && permission.remoteAddress == address && permission.remotePort == port) break;
    reference = permission.next;
  }
  return reference;
}

/** Whether the mapping's filtering lets that remote endpoint in. */
export function isPermitted(mapping: u32, address: u32, port: u32): bool {
  const filtering = <u32>mappingAt(mapping).filtering;
  return filtering == INDEPENDENT || search(mapping, address, portFor(filtering, port)) != 0;
}

/** Lets that remote endpoint in, as the inside host has called it; 0 if everybody may, or if there is no room. */
export function permit(mapping: u32, address: u32, port: u32): u32 {
  const filtering = <u32>mappingAt(mapping).filtering;
  if (filtering == INDEPENDENT) return 0;
  const remotePort = portFor(filtering, port);
  const known = search(mapping, address, remotePort);
  if (known != 0) return known;
  const reference = permissions.take();
  if (reference == 0) return 0;
  const permission = permissionAt(reference);
  const bucket = bucketFor(mapping, address, remotePort);
  permission.mapping = mapping;
  permission.remoteAddress = hold(address);
  permission.remotePort = remotePort;
  permission.next = load<u32>(bucket);
  store<u32>(bucket, reference);
  return reference;
}

function releasePermission(reference: u32): void {
  permissionAt(reference).sessions--;
  dropPermission(reference);
}

/** Takes a permission back that no session uses. */
export function dropPermission(reference: u32): void {
  if (reference == 0) return;
  const permission = permissionAt(reference);
  if (permission.sessions > 0) return;
  const bucket = bucketFor(permission.mapping, permission.remoteAddress, permission.remotePort);
  unlink(bucket, reference, offsetof<Permission>("next"));
  release(permission.remoteAddress);
  permissions.give(reference);
}
