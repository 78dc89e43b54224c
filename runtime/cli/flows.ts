// sluice flows: the live flows of a running chain.

import type { Command } from "commander";
import type { FlowEndpoint } from "../dataplane/flow-reports.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { SluiceError } from "../errors.ts";
import { nameIpProto } from "../telemetry/eve.ts";
import { compressAddress } from "../telemetry/flow-lines.ts";
import { describeLiveFlow, type FlowOrder, flowOrders, queryFlows } from "../telemetry/flow-query.ts";
import type { LiveFlow } from "../telemetry/flow-table-view.ts";
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

const sum = ([a, b]: readonly [number, number]) => a + b;

export function registerFlows(program: Command): void {
  program
    .command("flows")
    .description("show the live flows of a running chain")
    .argument("[chain]", "the chain; needed if several are running")
    .option("--proto <name>", "only this IP protocol: tcp, udp, icmp …")
    .option("--host <prefix>", "only flows with an end in this address or prefix")
    .option("--port <number>", "only flows with this port at either end")
    .option("--state <name>", "only flows in this state: new, established, time_wait …")
    .option("--sort <by>", `by ${flowOrders.join(", ")}`, "bytes")
    .option("--limit <n>", "show at most n", "25")
    .option("--json", "print JSON")
    .action(flowsCommand);
}

function flowsCommand(chain: string | undefined, { proto, host, port, state, ...options }: FlowsOptions): void {
  const limit = readNumber("--limit", options.limit, Number.MAX_SAFE_INTEGER);
  const found = findEngine(chain, "sluice flows");
  const query = {
    ...{ proto, host, state, sort: readOrder(options.sort) },
    port: port === undefined ? undefined : readNumber("--port", port, 65535),
  };
  const flows = queryFlows(loadAddon(), found, query);
  const shown = flows.slice(0, limit).map(describeLiveFlow);
  if (options.json) printJson({ chain: found.engine.chain, total: flows.length, flows: shown });
  else print(flows, limit);
}

function readOrder(text: string): FlowOrder {
  const order = flowOrders.find((each) => each === text);
  if (order !== undefined) return order;
  throw usage("--sort", `"${text}" is none of ${flowOrders.join(", ")}`);
}

function readNumber(option: string, text: string, maximum: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= maximum) return value;
  throw usage(option, `"${text}" is not a whole number up to ${maximum}`);
}

function usage(where: string, what: string): SluiceError {
  return new SluiceError({ code: "usage", where, what });
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
