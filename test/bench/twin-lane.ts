// A lane whose hops are functions or, over the same memory, their native twins: the engine carries out what either says.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { parseDocument } from "../../runtime/chain/document.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import type { Hop } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { NativeAddon, Window } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { Catalog, type FunctionPackage } from "../../runtime/function/catalog.ts";
import { validateManifest } from "../../runtime/function/manifest.ts";

export const BATCH = 256;

interface Twins {
  openFirewallTwin(memory: ArrayBuffer, tables: number): () => void;
  openNatTwin(memory: ArrayBuffer, tables: number): () => void;
}

export const sides = ["wasm", "native"] as const;
export type Side = (typeof sides)[number];

/** What the host maps into a function's memory. */
interface Mapped {
  readonly memory: ArrayBuffer;
  readonly windows: readonly Window[];
}

export interface TwinLane {
  readonly lane: Lane;
  /** By function. */
  readonly mapped: readonly Mapped[];
  /** From now on these process batches. */
  use(side: Side): void;
}

export interface TwinLaneOptions {
  /** Holds NAME.wasm, built from nfs/NAME/bench, and twins.node. */
  readonly folder: string;
  readonly functions: readonly string[];
  readonly document: object;
  readonly slots: number;
  /** What is transmitted on the first port is received there again. */
  readonly looped?: boolean;
}

export function openTwinLane({ folder, functions, document, slots, looped = false }: TwinLaneOptions): TwinLane {
  const packages = functions.map((name) => readPackage(folder, name));
  const { plan } = planChain(parseDocument(JSON.stringify(document), "bench.json"), new Catalog(packages));
  const mapped: Mapped[] = [];
  const tables = new Map<string, number>();
  const lane = openLane({
    native: watchOverlays(mapped),
    plan,
    packages: plan.functions.map(
      ({ package: { name } }) => packages.find((each) => each.manifest.name === name) as FunctionPackage,
    ),
    ...{ slots, slotBytes: 2048, batchLimit: BATCH, keepOutcomes: false, virtualClock: true },
    openPort: (native) => native.openMemoryPort({ looped }),
    onLog: (_level, name, message) => {
      const [, address] = /^tables at (\d+)$/.exec(message) ?? [];
      if (address !== undefined) tables.set(name, Number(address));
    },
  });
  const twins = plan.functions.map(({ name }, index) =>
    openTwin(folder, name, (mapped[index] as Mapped).memory, tables.get(name) as number),
  );
  const processes: Record<Side, readonly (() => void)[]> = {
    wasm: lane.hops.map(({ process }) => process),
    native: plan.hops.map((hop) => twins[hop.function] as () => void),
  };
  const use = (side: Side) => {
    for (const [index, process] of processes[side].entries()) (lane.hops[index] as Hop).process = process;
  };
  return { lane, mapped, use };
}

function readPackage(folder: string, name: string): FunctionPackage {
  const file = join(import.meta.dirname, "../../nfs", name, "manifest.json");
  const wasm = new Uint8Array(readFileSync(join(folder, `${name}.wasm`)));
  return { manifest: validateManifest(readFileSync(file, "utf8"), file), wasm, origin: folder };
}

/** The addon, by which every instance's memory passes once. */
function watchOverlays(mapped: Mapped[]): NativeAddon {
  const addon = loadAddon();
  const overlay: NativeAddon["overlay"] = (memory, windows) => {
    mapped.push({ memory, windows });
    return addon.overlay(memory, windows);
  };
  return Object.create(addon, { overlay: { value: overlay } });
}

function openTwin(folder: string, name: string, memory: ArrayBuffer, tables: number): () => void {
  const twins: Twins = createRequire(import.meta.url)(resolve(folder, "twins.node"));
  return name === "firewall" ? twins.openFirewallTwin(memory, tables) : twins.openNatTwin(memory, tables);
}

/** A flow's first packet shall not wait for page faults: a lane has them once, and they cost either side the same. */
export function touchPages({ mapped }: TwinLane): void {
  for (const { memory, windows } of mapped) {
    for (const { address, bytes, writable } of windows) {
      const page = new Uint8Array(memory, address, bytes);
      let seen = 0;
      for (let at = 0; at < bytes; at += 4096) {
        if (writable) page[at] = page[at] as number;
        else seen |= page[at] as number;
      }
      if (seen > 0xff) throw new RangeError("a byte has eight bits");
    }
  }
}

/** Whatever a function may write is, byte for byte, what its twin has written in the other lane. Throws if it is not. */
export function expectSameState(one: TwinLane, other: TwinLane): void {
  for (const [index, { windows }] of one.mapped.entries()) {
    for (const [place, window] of windows.entries()) {
      const twin = other.mapped[index]?.windows[place] as Window;
      const [own, its] = [window, twin].map(({ segment, segmentOffset, bytes }) =>
        Buffer.from(segment.buffer, segmentOffset, bytes),
      ) as [Buffer, Buffer];
      if (!window.writable || own.equals(its)) continue;
      const at = own.findIndex((byte, offset) => byte !== its[offset]);
      throw new Error(`function ${index}: its twin writes something else at address ${window.address} + ${at}`);
    }
  }
}
