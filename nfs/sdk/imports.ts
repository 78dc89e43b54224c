// Everything that a function can ask of the host. All of it is cold: allowed from instantiation until nf_configure
// returns, and never again. Each raw import stands directly above its one safe wrapper.

import { COUNTERS_CAPACITY, REASONS_CAPACITY } from "./abi";

@external("sluice", "declare_counter")
declare function declare_counter(name: string, labels: string, kind: i32): i32;

/** The counter's index; the same for the same name and labels. `labels` is `key=value`, or empty. */
export function declareCounter(name: string, labels: string, kind: i32): i32 {
  const index = declare_counter(name, labels, kind);
  if (<u32>index >= <u32>COUNTERS_CAPACITY) throw new Error("no room for counter " + name);
  return index;
}

@external("sluice", "declare_reason")
declare function declare_reason(name: string): i32;

/** The reason's number, 1 … REASONS_CAPACITY - 1; 0 is "unspecified". */
export function declareReason(name: string): i32 {
  const number = declare_reason(name);
  if (number <= 0 || number >= REASONS_CAPACITY) throw new Error("no room for reason " + name);
  return number;
}

@external("sluice", "config_error")
declare function config_error(path: string, message: string): void;

/** Reports a fault of the configuration; `path` is a JSON pointer (RFC 6901). nf_configure must return false then. */
export function reportConfigError(path: string, message: string): void {
  config_error(path, message);
}

@external("sluice", "port")
declare function port(name: string): i32;

/** The index of the chain's port of that name, or -1. */
export function findPort(name: string): i32 {
  return port(name);
}

@external("sluice", "branch")
declare function branch(name: string): i32;

/** The index of the branch that the chain declares for this function under that name, or -1. */
export function findBranch(name: string): i32 {
  return branch(name);
}

@external("sluice", "column")
declare function column(name: string, bytes: i32): i32;

/** Address of the array that holds one value of so many bytes per flow, the entry of flow 0 (none) first. */
export function openColumn(name: string, bytes: i32): usize {
  const address = column(name, bytes);
  if (address == 0) {
    throw new Error("the manifest declares no column " + name + " with values of " + bytes.toString() + " bytes");
  }
  return <usize>address;
}

/** The same of a column that the manifest calls optional; 0 if no function of the chain writes it. */
export function findColumn(name: string, bytes: i32): usize {
  return <usize>column(name, bytes);
}

@external("sluice", "segment")
declare function segment(name: string): i32;

/** Address of the segment. */
export function openSegment(name: string): usize {
  const address = segment(name);
  if (address == 0) throw new Error("the manifest declares no segment " + name);
  return <usize>address;
}

@external("sluice", "segment_bytes")
declare function segment_bytes(name: string): i32;

/** As the manifest says; 0 if it declares no such segment. */
export function segmentBytes(name: string): u32 {
  return <u32>segment_bytes(name);
}

@external("sluice", "previous")
declare function previous(name: string): i32;

/** Address of what the version before had in the segment of that name; 0 if there is nothing to migrate. */
export function openPrevious(name: string): usize {
  return <usize>previous(name);
}

@external("sluice", "previous_bytes")
declare function previous_bytes(name: string): i32;

/** Its size. */
export function previousBytes(name: string): u32 {
  return <u32>previous_bytes(name);
}

@external("sluice", "previous_layout")
declare function previous_layout(name: string): i32;

/** Its layout, as that version's manifest said. */
export function previousLayout(name: string): u32 {
  return <u32>previous_layout(name);
}

@external("sluice", "event")
declare function event(name: string): i32;

/** The number of the event's bit, 0 … 31. */
export function findEvent(name: string): i32 {
  const number = event(name);
  if (number < 0) throw new Error("the manifest neither defines the event " + name + " nor subscribes to it");
  return number;
}

@external("sluice", "label")
declare function label(name: string): i32;

/** The label's bit. */
export function findLabel(name: string): u32 {
  const mask = label(name);
  if (mask == 0) throw new Error("the manifest declares no label " + name);
  return <u32>mask;
}

@external("sluice", "log")
declare function log(level: i32, message: string): void;

/** Writes a line to the host's log; `level` is one of LOG_*. */
export function writeLog(level: i32, message: string): void {
  log(level, message);
}
