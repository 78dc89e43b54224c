// Sessions: one per translated flow. A session lives as long as the flow whose column names it; whatever became of the
// events that tell of ends, a sweep finds those that do not.
import { batch, Column, Flow, FLOW_END_NONE, FLOW_STATE_NONE, flowCapacity } from "../sdk";
import { releaseHost } from "./hosts";
import { dropMapping } from "./mappings";
import { controls, PROTOCOL_LAST } from "./protocol-store";
import { ADDRESS_AND_PORT_DEPENDENT, INDEPENDENT } from "./rules";
import {
  bucketOf,
  ENTERS_IPV6,
  header,
  hostAt,
  LEAVES_IPV6,
  mappingAt,
  pairs,
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

const sessionOf = new Column<u32>("nat.session");
const insideAddress = new Column<u32>("nat.inside_address");
const insidePort = new Column<u16>("nat.inside_port");
const insideHigh = new Column<u64>("nat.inside_high");
const insideLow = new Column<u64>("nat.inside_low");
const outsideAddress = new Column<u32>("nat.outside_address");
const outsidePort = new Column<u16>("nat.outside_port");

/** Reference of the flow's session, UNTRANSLATED, or 0 if nothing was decided yet. */
@inline
export function sessionReferenceOf(flow: Flow): u32 {
  const reference = sessionOf.get(flow);
  return reference <= UNTRANSLATED || sessionAt(reference).flow == flow.number ? reference : 0;
}

export function leaveAlone(flow: Flow): void {
  sessionOf.set(flow, UNTRANSLATED);
}

/** Says in columns who is behind the flow, for alerts and logs. */
export function name(flow: Flow, inside: u32, innerPort: u32, outside: u32, outerPort: u32): void {
  insideAddress.set(flow, inside);
  insidePort.set(flow, <u16>innerPort);
  outsideAddress.set(flow, outside);
  outsidePort.set(flow, <u16>outerPort);
}

/** The same of an IPv6 host. */
export function name6(flow: Flow, high: u64, low: u64, innerPort: u32, outside: u32, outerPort: u32): void {
  insideHigh.set(flow, high);
  insideLow.set(flow, low);
  name(flow, 0, innerPort, outside, outerPort);
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
  if (session.families & ENTERS_IPV6) pairs.give(session.source);
  if (session.families & LEAVES_IPV6) pairs.give(session.newSource);
  if (session.host != 0) {
    hostAt(session.host).sessions--;
    releaseHost(session.host);
  }
  if (session.permission != 0) releasePermission(session.permission);
  if (session.mapping != 0) releaseMapping(session.mapping);
  if (session.target != 0) releaseMapping(session.target);
  if (session.control > PROTOCOL_LAST) controls.give(session.control);
  sessions.give(reference);
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
  if (reference <= UNTRANSLATED || sessionAt(reference).flow != flow.number || isLive(reference)) return;
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
  permission.remoteAddress = address;
  permission.remotePort = remotePort;
  permission.next = load<u32>(bucket);
  store<u32>(bucket, reference);
  return reference;
}

function releasePermission(reference: u32): void {
  const permission = permissionAt(reference);
  permission.sessions--;
  if (permission.sessions > 0) return;
  const bucket = bucketFor(permission.mapping, permission.remoteAddress, permission.remotePort);
  unlink(bucket, reference, offsetof<Permission>("next"));
  permissions.give(reference);
}
