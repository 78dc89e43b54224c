// Commands about a chain that runs on another box: what they would read from its pages comes over its API.
import type { IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import type { ChainResource } from "../control/chain-view.ts";
import { SluiceError } from "../errors.ts";
import { ApiClient, type ServerOptions } from "./api-client.ts";

export interface RemoteChain {
  readonly client: ApiClient;
  readonly chain: string;
  /** Of the chain in the API. */
  readonly path: string;
}

/** Null: the command is about this box. Throws not-running, usage, and what the API says. */
export async function findRemote(
  chain: string | undefined,
  options: ServerOptions,
  command: string,
): Promise<RemoteChain | null> {
  if (options.server === undefined && process.env.SLUICE_SERVER === undefined) return null;
  const client = new ApiClient(options);
  const name = chain ?? (await findOnly(client, command));
  return { client, chain: name, path: `/api/v1/chains/${encodeURIComponent(name)}` };
}

async function findOnly(client: ApiClient, command: string): Promise<string> {
  const chains = await client.call<ChainResource[]>("/api/v1/chains");
  const [found, ...others] = chains.filter(({ status }) => status.state === "running");
  if (found === undefined) throw new SluiceError({ code: "not-running", where: command, what: "no chain runs there" });
  if (others.length === 0) return found.chain;
  const names = chains.map(({ chain }) => chain).join(", ");
  throw new SluiceError({
    code: "usage",
    where: command,
    what: `several chains run there: ${names}`,
    help: "name one",
  });
}

/** Server-sent events, as they come. */
export async function* readEvents<Data>(response: IncomingMessage): AsyncGenerator<{ event: string; data: Data }> {
  let event = "";
  for await (const line of createInterface({ input: response })) {
    if (line.startsWith("event: ")) event = line.slice("event: ".length);
    else if (line.startsWith("data: ")) yield { event, data: JSON.parse(line.slice("data: ".length)) as Data };
  }
}
