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

@external("sluice", "log")
declare function log(level: i32, message: string): void;

/** Writes a line to the host's log; `level` is one of LOG_*. */
export function writeLog(level: i32, message: string): void {
  log(level, message);
}
