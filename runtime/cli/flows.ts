// sluice flows: the live flows of a running chain.

import type { Command } from "commander";
import { loadAddon } from "../dataplane/load-addon.ts";
import { SluiceError } from "../errors.ts";
import { describeLiveFlow, type FlowOrder, type FlowQuery, flowOrders, queryFlows } from "../telemetry/flow-query.ts";
import { addServerOptions, type ServerOptions } from "./api-client.ts";
import { findEngine } from "./find-engine.ts";
import { addFormat, type FormatOptions, printAs } from "./format.ts";
import { printLine, printTable } from "./output.ts";
import { findRemote } from "./remote.ts";

interface FlowsOptions extends ServerOptions, FormatOptions {
  readonly proto?: string;
  readonly host?: string;
  readonly port?: string;
  readonly state?: string;
  readonly sort: string;
  readonly limit: string;
}

interface Listed {
  readonly chain: string;
  readonly total: number;
  readonly flows: readonly ReturnType<typeof describeLiveFlow>[];
}

/** More than the API gives at once. */
const LIMIT_MAX = 100_000;

export function registerFlows(program: Command): void {
  const flows = program.command("flows").description("show the live flows of a running chain");
  addServerOptions(addFormat(flows))
    .argument("[chain]", "the chain; needed if several are running")
    .option("--proto <name>", "only this IP protocol: tcp, udp, icmp …")
    .option("--host <prefix>", "only flows with an end in this address or prefix")
    .option("--port <number>", "only flows with this port at either end")
    .option("--state <name>", "only flows in this state: new, established, time_wait …")
    .option("--sort <by>", `by ${flowOrders.join(", ")}`, "bytes")
    .option("--limit <n>", "show at most n", "25")
    .action(flowsCommand);
}

async function flowsCommand(chain: string | undefined, options: FlowsOptions): Promise<void> {
  const limit = readNumber("--limit", options.limit, LIMIT_MAX);
  const { proto, host, port, state } = options;
  const query = {
    ...{ proto, host, state, sort: readOrder(options.sort) },
    port: port === undefined ? undefined : readNumber("--port", port, 65535),
  };
  const remote = await findRemote(chain, options, "sluice flows");
  const listed =
    remote === null
      ? listHere(chain, query, limit)
      : await remote.client.call<Listed>(`${remote.path}/flows`, { query: { ...query, limit } });
  printAs(options, listed, () => print(listed));
}

function listHere(chain: string | undefined, query: FlowQuery, limit: number): Listed {
  const found = findEngine(chain, "sluice flows");
  const flows = queryFlows(loadAddon(), found, query);
  return { chain: found.engine.chain, total: flows.length, flows: flows.slice(0, limit).map(describeLiveFlow) };
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

function print({ flows, total }: Listed): void {
  printTable(
    ["flow", "proto", "source", "destination", "state", "packets", "bytes", "rtt us"],
    flows.map((flow) => [
      flow.flow,
      flow.proto,
      formatEndpoint(flow.src_ip, flow.src_port),
      formatEndpoint(flow.dest_ip, flow.dest_port),
      flow.state,
      flow.packets_to_server + flow.packets_to_client,
      flow.bytes_to_server + flow.bytes_to_client,
      flow.rtt_us,
    ]),
  );
  if (total > flows.length) printLine(`${total - flows.length} more; --limit shows them`);
}

function formatEndpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
