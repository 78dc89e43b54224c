// The options of `sluice replay`, checked against the chain.
import { resolve } from "node:path";
import { throwFaults } from "../chain/faults.ts";
import { suggest } from "../chain/nearest.ts";
import type { Plan } from "../chain/plan.ts";
import { findStateFaults } from "../chain/state-changes.ts";
import { parseFunctionReference } from "../chain/validator.ts";
import type { ReplayFault, ReplaySwap, ReplaySwapEvery } from "../dataplane/replay/schedule.ts";
import { type ErrorCode, SluiceError } from "../errors.ts";
import { admit } from "../function/admission.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { LoadedChain } from "../function/load-chain.ts";

export function readInputs(plan: Plan, texts: readonly string[]): string[][] {
  const inputs = plan.ports.map((): string[] => []);
  for (const text of texts) {
    const [, name, file] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
    if (name === undefined || file === undefined) throw usage(`--in ${text}`, "is not PORT=FILE");
    const port = plan.ports.findIndex((candidate) => candidate.name === name);
    if (port < 0) {
      const known = plan.ports.map((candidate) => candidate.name);
      throw usage(`--in ${text}`, `the chain has no port "${name}"`, suggest(name, known, "ports"));
    }
    (inputs[port] as string[]).push(resolve(file));
  }
  return inputs;
}

export function readSwap(loaded: LoadedChain, text: string): ReplaySwap {
  const { count, ...swap } = readExchange(loaded, "--swap", text);
  return { frame: count, ...swap };
}

export function readSwapEvery(loaded: LoadedChain, text: string): ReplaySwapEvery {
  const { count, ...swap } = readExchange(loaded, "--swap-every", text);
  return { every: count, ...swap };
}

function readExchange({ plan, catalog }: LoadedChain, option: string, text: string) {
  const [, count, name, use] = /^([^:]+):([^=]+)=(.+)$/.exec(text) ?? [];
  const where = `${option} ${text}`;
  const reference = use === undefined ? undefined : parseFunctionReference(use);
  if (count === undefined || name === undefined || reference === undefined)
    throw usage(where, "is not N:FUNCTION=NAME@VERSION", `for example ${option} 7:fw=firewall@1`);
  const found = catalog.find(reference.name, reference.range);
  if (found === undefined) throw fault("function-not-found", where, `no function "${use}" is known`);
  const index = findFunction(plan, name, where);
  admit(found.wasm, found.manifest);
  return { count: readCount(count, where), function: index, package: found };
}

/** Throws what keeps any of the swaps from being made, before the first frame. */
export function requireSwappable(
  { plan, packages }: LoadedChain,
  swaps: readonly Pick<ReplaySwap, "function" | "package">[],
  replan: (packages: readonly FunctionPackage[]) => Plan,
): void {
  for (const swap of swaps) {
    const next = replan(packages.with(swap.function, swap.package));
    throwFaults(findStateFaults(plan, next, "--swap"));
  }
}

export function readFault(plan: Plan, text: string): ReplayFault {
  const [, frame, name] = /^([^:]+):(.+)$/.exec(text) ?? [];
  const where = `--fault ${text}`;
  if (frame === undefined || name === undefined) throw usage(where, "is not N:FUNCTION", "for example --fault 5:fw");
  return { frame: readCount(frame, where), function: findFunction(plan, name, where) };
}

function findFunction(plan: Plan, name: string, where: string): number {
  const index = plan.functions.findIndex((candidate) => candidate.name === name);
  if (index >= 0) return index;
  const known = plan.functions.map((candidate) => candidate.name);
  throw fault("unknown-function", where, `the chain has no function "${name}"`, suggest(name, known, "functions"));
}

export function readCount(text: string, where: string, largest = Number.MAX_SAFE_INTEGER): number {
  const count = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (count <= largest) return count;
  throw usage(where, `"${text}" is not a number from 1 to ${largest}`);
}

function usage(where: string, what: string, help?: string): SluiceError {
  return fault("usage", where, what, help);
}

function fault(code: ErrorCode, where: string, what: string, help?: string): SluiceError {
  return new SluiceError({ code, where, what, help });
}
