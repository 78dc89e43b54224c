// What the demonstration does over the API, as `curl` would: declare its chain, and take it away.
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { Box } from "./box.ts";
import type { Check } from "./checks.ts";
import { until } from "./until.ts";

/** The document is put twice: the second time there is nothing to do. */
export async function declareChain(box: Box, document: string): Promise<Check[]> {
  const { chain } = parse(document) as { chain: string };
  const path = `/api/v1/chains/${chain}`;
  const first = await request(box, "PUT", path, document);
  const second = await request(box, "PUT", path, document);
  const { revision, changed, tookMs } = first.body as { revision: number; changed: boolean; tookMs: number };
  return [
    {
      name: "chain declared over REST",
      expected: "revision, and it runs",
      observed: `${first.status}, revision ${revision}, ${Math.round(tookMs)} ms`,
      held: (first.status === 201 || first.status === 200) && changed,
    },
    {
      name: "the same again",
      expected: "200, nothing changed",
      observed: `${second.status}, ${second.body.changed === false ? "nothing changed" : "changed"}`,
      held: second.status === 200 && second.body.changed === false,
    },
  ];
}

export async function removeChain(box: Box, chain: string): Promise<Check[]> {
  const { status } = await request(box, "DELETE", `/api/v1/chains/${chain}`);
  const end = await until("the engine says that it has stopped", async () => {
    const stopped = box.said.find(({ state }) => state === "stopped");
    if (stopped !== undefined) return stopped as { frames?: { intact?: boolean } };
    throw new Error("it has not said so yet");
  });
  const isIntact = end.frames?.intact === true;
  return [
    {
      name: "chain deleted, every frame accounted for",
      expected: "204, no frame lost",
      observed: `${status}, ${isIntact ? "no frame lost" : "FRAMES LEAKED"}`,
      held: status === 204 && isIntact,
    },
  ];
}

async function request({ api }: Box, method: string, path: string, document?: string) {
  const response = await fetch(`${api.address}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${readFileSync(api.tokenFile, "utf8").trim()}`,
      ...(document !== undefined && { "content-type": "application/yaml" }),
    },
    ...(document !== undefined && { body: document }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === "" ? {} : JSON.parse(text)) as Record<string, unknown> };
}
