// Requests as observations of the chain that runs.

import { throwFaults } from "../chain/faults.ts";
import { suggest } from "../chain/nearest.ts";
import { findSchemaFaults } from "../chain/schema-faults.ts";
import type { JsonSchema } from "../chain/validator.ts";
import { planFilter, type WatchedChain } from "../dataplane/observe/frame-filter.ts";
import type { GivenFrame, Hook, Observation } from "../dataplane/observe/lookout-protocol.ts";
import {
  type CaptureRequest,
  captureRequestSchema,
  SNAP_LENGTH,
  type TraceRequest,
  traceRequestSchema,
} from "../dataplane/observe/requests.ts";
import { SluiceError } from "../errors.ts";
import type { CapturedInterface } from "../telemetry/pcapng.ts";

const LINKTYPE_ETHERNET = 1;

/** Throws usage for what is no such request, or names what the chain has not. */
export function planTrace(request: TraceRequest, chain: WatchedChain): Observation {
  check(request, { ...traceRequestSchema });
  if (request.frames !== undefined) return { kind: "given", frames: planFrames(request.frames, chain) };
  return { kind: "trace", filter: planFilter(request, chain, "in"), count: request.count ?? 1 };
}

export function planCapture(request: CaptureRequest, chain: WatchedChain): Observation {
  check(request, { ...captureRequestSchema });
  const { before = [], after = [], direction, count = null, snapLength = SNAP_LENGTH } = request;
  const names = [...before.map((name) => ["before", name] as const), ...after.map((name) => ["after", name] as const)];
  const ports = chain.plan.ports.map(({ name, device }) => describe(name, `port ${name} (${device})`, snapLength));
  const hooks = names.map(([side, name], index) => planHook(side, name, ports.length + index, chain));
  const interfaces = [
    ...ports,
    ...names.map(([side, name]) => describe(`${name}:${side}`, `${side} ${name}`, snapLength)),
  ];
  const capture = { interfaces, count, snapLength };
  if (hooks.length === 0) return { kind: "tap", filter: planFilter(request, chain, direction ?? "both"), capture };
  if (direction !== undefined) throw usage("direction", "ports have directions, functions have before and after");
  return { kind: "hooks", filter: planFilter(request, chain, "in"), capture, hooks };
}

function planHook(side: Hook["side"], name: string, index: number, { plan }: WatchedChain): Hook {
  const found = plan.functions.findIndex((each) => each.name === name);
  if (found >= 0) return { side, function: found, interface: index };
  const known = plan.functions.map((each) => each.name);
  throw usage(side, `the chain has no function "${name}"`, suggest(name, known, "functions"));
}

function describe(name: string, description: string, snapLength: number): CapturedInterface {
  return { name, description, linkType: LINKTYPE_ETHERNET, snapLength };
}

function planFrames(frames: NonNullable<TraceRequest["frames"]>, { plan }: WatchedChain): GivenFrame[] {
  return frames.map(({ port: name, hex, wireLength, link = 0 }) => {
    const port = plan.ports.findIndex((each) => each.name === name);
    const known = plan.ports.map((each) => each.name);
    if (port < 0) throw usage("port", `the chain has no port "${name}"`, suggest(name, known, "ports"));
    const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
    return { port, bytes, link, wireLength: Math.max(wireLength ?? 0, bytes.length) };
  });
}

function check(request: unknown, schema: JsonSchema): void {
  throwFaults(findSchemaFaults(request, schema, "usage", (pointer) => `request${pointer}`));
}

function usage(where: string, what: string, help?: string): SluiceError {
  return new SluiceError({ code: "usage", where, what, help });
}
