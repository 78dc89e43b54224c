// nfs/acl with memory: what it said of a flow's first packet holds for the others, and is kept in a segment, whose layout
// differs between versions. A packet that finds no decision is dropped, so that lost state shows in the verdicts.
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildFunction } from "../../runtime/function/build.ts";
import { projectRoot } from "./run-sluice.ts";

export interface AclVersion {
  readonly version: string;
  /** 1: a byte per flow. 2: four bytes. */
  readonly layout: 1 | 2;
  /** What its nf_migrate does with the other layout. */
  readonly migration: "carries" | "forgets";
}

/** Fills `folder` with sources, and with packages in a folder for `--functions`, which it returns. */
export async function buildRememberingAcl(folder: string, versions: readonly AclVersion[]): Promise<string> {
  const packages = join(folder, "packages");
  for (const version of versions) {
    const from = join(folder, `source-${version.version}/acl`);
    copyAcl(from);
    writeFileSync(join(from, "index.ts"), source(version));
    writeFileSync(join(from, "manifest.json"), JSON.stringify(describe(version)));
    await buildFunction(from, join(packages, `acl-${version.version}`));
  }
  return packages;
}

/** Its entry becomes a module of the new one's. */
function copyAcl(to: string): void {
  mkdirSync(to, { recursive: true });
  cpSync(join(projectRoot, "nfs/acl"), to, { recursive: true, filter: (path) => !path.endsWith("/bench") });
  renameSync(join(to, "index.ts"), join(to, "acl.ts"));
  for (const name of readdirSync(to).filter((each) => each.endsWith(".ts"))) {
    const file = join(to, name);
    writeFileSync(file, readFileSync(file, "utf8").replaceAll('from "../sdk', 'from "sluice/sdk'));
  }
}

/** A flow's number is at most its table's size; this is the default. */
const FLOWS = 65_536;
const BYTES = { 1: FLOWS + 1, 2: (FLOWS + 1) * 4 } as const;

function describe({ version, layout }: AclVersion): object {
  const manifest = JSON.parse(readFileSync(join(projectRoot, "nfs/acl/manifest.json"), "utf8"));
  const segments = { decisions: { bytes: BYTES[layout], layout, migratesFrom: [3 - layout] } };
  return { ...manifest, version, memoryPages: 64, segments };
}

// In both layouts: how the first packet ended in two bits, and six bits that count packets.
const access = {
  1: `
    @inline function read(table: usize, flow: u32): u32 { return load<u8>(table + flow); }
    @inline function write(table: usize, flow: u32, value: u32): void { store<u8>(table + flow, <u8>value); }`,
  2: `
    @inline function read(table: usize, flow: u32): u32 {
      return (load<u8>(table + (flow << 2)) << 6) | (load<u16>(table + (flow << 2) + 2) & 63);
    }
    @inline function write(table: usize, flow: u32, value: u32): void {
      store<u8>(table + (flow << 2), <u8>(value >> 6));
      store<u16>(table + (flow << 2) + 2, <u16>(value & 63));
    }`,
} as const;

const migrations = {
  1: "store<u8>(decisions.address + flow, <u8>((load<u8>(old.address + (flow << 2)) << 6) | (load<u16>(old.address + (flow << 2) + 2) & 63)));",
  2: "write(decisions.address, flow, load<u8>(old.address + flow));",
} as const;

const source = ({ layout, migration }: AclVersion) => `
import { batch, EVENT_START, PreviousSegment, Reason, Segment } from "sluice/sdk";
import { RESULT_BYTES, RESULT_VERDICT, VERDICT_DROP } from "sluice/sdk/abi";
import { resultsAddress } from "sluice/sdk/context";
import { nf_configure as configureAcl, nf_process as applyAcl } from "./acl";
export { nf_abi } from "sluice/sdk/exports";

const PERMITTED = 1;
const DENIED = 2;
const decisions = new Segment("decisions");
const remembered = new Reason("remembered");
const unknown = new Reason("unknown");
const eighth = new Reason("eighth");
${access[layout]}

export function nf_configure(json: string): bool { return configureAcl(json); }

export function nf_process(): void {
  applyAcl();
  for (let i = 0; i < batch.count; i++) {
    const packet = batch.packet(i);
    const flow = packet.flow;
    if (flow === null) continue;
    const isDropped = load<u8>(resultsAddress + i * RESULT_BYTES, RESULT_VERDICT) == VERDICT_DROP;
    const isFirst = (packet.events & EVENT_START) != 0;
    const before = isFirst ? (isDropped ? DENIED : PERMITTED) << 6 : read(decisions.address, flow.number);
    const count = (before + 1) & 63;
    write(decisions.address, flow.number, (before & 0xc0) | count);
    if (before >> 6 == 0) packet.drop(unknown);
    else if (before >> 6 == DENIED && !isFirst) packet.drop(remembered, count);
    else if (count % 8 == 0) packet.drop(eighth, count);
  }
}

export function nf_migrate(): u32 {
  const old = new PreviousSegment("decisions");
  if (old.layout != ${3 - layout}) return ${FLOWS};
  ${migration === "carries" ? `for (let flow: u32 = 1; flow <= ${FLOWS}; flow++) ${migrations[layout]}` : ""}
  return 0;
}
`;
