// Which live flows somebody asks for, in which order, and how they are shown.
import ipaddr from "ipaddr.js";
import type { FlowEndpoint } from "../dataplane/flow-reports.ts";
import type { NativeAddon } from "../dataplane/native.ts";
import type { FoundEngine } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import { nameIpProto } from "./eve.ts";
import { compressAddress } from "./flow-lines.ts";
import type { LiveFlow } from "./flow-table-view.ts";
import { FlowTables } from "./flow-tables.ts";

export interface FlowQuery {
  readonly proto?: string | undefined;
  /** An address or a prefix, of either end. */
  readonly host?: string | undefined;
  /** Of either end. */
  readonly port?: number | undefined;
  readonly state?: string | undefined;
  readonly sort: FlowOrder;
}

type Order = (a: LiveFlow, b: LiveFlow) => number;

const sum = ([a, b]: readonly [number, number]) => a + b;

/** Largest, or latest, first. */
const orders = {
  bytes: (a, b) => sum(b.octets) - sum(a.octets),
  packets: (a, b) => sum(b.packets) - sum(a.packets),
  start: (a, b) => Number(b.startNs - a.startNs),
  last: (a, b) => Number(b.lastNs - a.lastNs),
} as const satisfies Record<string, Order>;

export type FlowOrder = keyof typeof orders;
export const flowOrders = Object.keys(orders) as FlowOrder[];

/** Those of a running chain at this moment. Throws usage for a host that is none, system-call if the engine has ended. */
export function queryFlows(native: NativeAddon, { path, engine }: FoundEngine, query: FlowQuery): LiveFlow[] {
  return [...FlowTables.attach(native, path, engine).flows()].filter(readFilter(query)).toSorted(orders[query.sort]);
}

function readFilter({ proto, host, port, state }: FlowQuery): (flow: LiveFlow) => boolean {
  const range = host === undefined ? undefined : readPrefix(host);
  const name = proto?.toUpperCase();
  return (flow) => {
    const ends = [flow.source, flow.destination, ...(flow.reply ?? [])];
    return (
      (name === undefined || nameIpProto(flow.ipProto).toUpperCase() === name || String(flow.ipProto) === name) &&
      (state === undefined || flow.state === state) &&
      (port === undefined || ends.some((end) => end.port === port)) &&
      (range === undefined || ends.some((end) => isWithin(end, range)))
    );
  };
}

type Prefix = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

function readPrefix(text: string): Prefix {
  try {
    if (text.includes("/")) return ipaddr.parseCIDR(text);
    const address = ipaddr.parse(text);
    return [address, address.kind() === "ipv4" ? 32 : 128];
  } catch {
    throw new SluiceError({ code: "usage", where: "host", what: `"${text}" is no address and no prefix` });
  }
}

function isWithin({ address }: FlowEndpoint, [prefix, length]: Prefix): boolean {
  const parsed = ipaddr.fromByteArray([...address]);
  return parsed.kind() === prefix.kind() && parsed.match(prefix, length);
}

export function describeLiveFlow(flow: LiveFlow) {
  return {
    flow: flow.flow,
    proto: nameIpProto(flow.ipProto),
    src_ip: compressAddress(flow.source.address),
    src_port: flow.source.port,
    dest_ip: compressAddress(flow.destination.address),
    dest_port: flow.destination.port,
    packets_to_server: flow.packets[0],
    packets_to_client: flow.packets[1],
    bytes_to_server: flow.octets[0],
    bytes_to_client: flow.octets[1],
    state: flow.state,
    start: new Date(Number(flow.startNs / 1_000_000n)).toISOString(),
    last: new Date(Number(flow.lastNs / 1_000_000n)).toISOString(),
    rtt_us: flow.rttUs,
    labels: flow.labels,
  };
}
