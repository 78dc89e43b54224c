// sluice flows: the live flows of a running chain.

import type { Command } from "commander";
import ipaddr from "ipaddr.js";
import type { FlowEndpoint } from "../dataplane/flow-reports.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { SluiceError } from "../errors.ts";
import { nameIpProto } from "../telemetry/eve.ts";
import { compressAddress } from "../telemetry/flow-lines.ts";
import { FlowTableView, type LiveFlow } from "../telemetry/flow-table-view.ts";
import { findEngine } from "./find-engine.ts";
import { printJson, printLine, printTable } from "./output.ts";

interface FlowsOptions {
  readonly proto?: string;
  readonly host?: string;
  readonly port?: string;
  readonly state?: string;
  readonly sort: string;
  readonly limit: string;
  readonly json?: boolean;
}

type Order = (a: LiveFlow, b: LiveFlow) => number;

const sum = ([a, b]: readonly [number, number]) => a + b;

/** Largest, or latest, first. */
const orders: Readonly<Record<string, Order>> = {
  bytes: (a, b) => sum(b.octets) - sum(a.octets),
  packets: (a, b) => sum(b.packets) - sum(a.packets),
  start: (a, b) => Number(b.startNs - a.startNs),
  last: (a, b) => Number(b.lastNs - a.lastNs),
};

export function registerFlows(program: Command): void {
  program
    .command("flows")
    .description("show the live flows of a running chain")
    .argument("[chain]", "the chain; needed if several are running")
    .option("--proto <name>", "only this IP protocol: tcp, udp, icmp …")
    .option("--host <prefix>", "only flows with an end in this address or prefix")
    .option("--port <number>", "only flows with this port at either end")
    .option("--state <name>", "only flows in this state: new, established, time_wait …")
    .option("--sort <by>", `by ${Object.keys(orders).join(", ")}`, "bytes")
    .option("--limit <n>", "show at most n", "25")
    .option("--json", "print JSON")
    .action(flowsCommand);
}

function flowsCommand(chain: string | undefined, options: FlowsOptions): void {
  const order = orders[options.sort];
  if (order === undefined) throw usage("--sort", `"${options.sort}" is none of ${Object.keys(orders).join(", ")}`);
  const limit = readNumber("--limit", options.limit, Number.MAX_SAFE_INTEGER);
  const filter = readFilter(options);
  const { path, engine } = findEngine(chain, "sluice flows");
  const native = loadAddon();
  const view = new FlowTableView(
    native.attachSegment(`${path}/flows`),
    engine.flowCapacity,
    native.flowStatesOffset(engine.flowCapacity),
  );
  const flows = [...view.flows()].filter(filter).toSorted(order);
  if (options.json) printJson({ chain: engine.chain, total: flows.length, flows: flows.slice(0, limit).map(describe) });
  else print(flows, limit);
}

function readFilter({ proto, host, port, state }: FlowsOptions): (flow: LiveFlow) => boolean {
  const range = host === undefined ? undefined : readPrefix(host);
  const number = port === undefined ? undefined : readNumber("--port", port, 65535);
  const name = proto?.toUpperCase();
  return (flow) => {
    const ends = [flow.source, flow.destination, ...(flow.reply ?? [])];
    return (
      (name === undefined || nameIpProto(flow.ipProto).toUpperCase() === name || String(flow.ipProto) === name) &&
      (state === undefined || flow.state === state) &&
      (number === undefined || ends.some((end) => end.port === number)) &&
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
    throw usage("--host", `"${text}" is no address and no prefix`);
  }
}

function isWithin({ address }: FlowEndpoint, [prefix, length]: Prefix): boolean {
  const parsed = ipaddr.fromByteArray([...address]);
  return parsed.kind() === prefix.kind() && parsed.match(prefix, length);
}

function readNumber(option: string, text: string, maximum: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= maximum) return value;
  throw usage(option, `"${text}" is not a whole number up to ${maximum}`);
}

function usage(where: string, what: string): SluiceError {
  return new SluiceError({ code: "usage", where, what });
}

function describe(flow: LiveFlow) {
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

function print(flows: readonly LiveFlow[], limit: number): void {
  printTable(
    ["flow", "proto", "source", "destination", "state", "packets", "bytes", "rtt us"],
    flows
      .slice(0, limit)
      .map((flow) => [
        flow.flow,
        nameIpProto(flow.ipProto),
        formatEndpoint(flow.source),
        formatEndpoint(flow.destination),
        flow.state,
        sum(flow.packets),
        sum(flow.octets),
        flow.rttUs,
      ]),
  );
  if (flows.length > limit) printLine(`${flows.length - limit} more; --limit shows them`);
}

function formatEndpoint({ address, port }: FlowEndpoint): string {
  const text = compressAddress(address);
  return address.length === 4 ? `${text}:${port}` : `[${text}]:${port}`;
}
