// Debian's Prometheus for tests: its checks of metrics, and a server of its own that scrapes one address.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "./temporary-folder.ts";

/** Why there is none, or null. */
export function prometheusObstacle(): string | null {
  const isThere = (program: string) => spawnSync(program, ["--version"]).error === undefined;
  return isThere("prometheus") && isThere("promtool") ? null : "needs the Debian package prometheus";
}

/** `promtool check metrics`: what it complains of. */
export function checkMetrics(text: string): string {
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  return status === 0 && stderr === "" ? "" : `status ${status}: ${stdout}${stderr}`;
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

const ANSWERS_WITHIN_MS = 30_000;

export class Prometheus {
  readonly #child: ChildProcess;
  readonly #url: string;

  /** Scrapes `/metrics` at 127.0.0.1 and that port each second, with the token in the file if there is one. */
  static async start(scraped: number, tokenFile?: string): Promise<Prometheus> {
    const folder = makeFolder();
    const config = join(folder, "prometheus.yml");
    const targets = [`127.0.0.1:${scraped}`];
    const authorization = tokenFile === undefined ? {} : { authorization: { credentials_file: tokenFile } };
    const jobs = [{ job_name: "sluice", scrape_interval: "1s", ...authorization, static_configs: [{ targets }] }];
    writeFileSync(config, JSON.stringify({ scrape_configs: jobs }));
    const port = await findFreePort();
    const address = `127.0.0.1:${port}`;
    const options = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=${address}`,
    ];
    return new Prometheus(spawn("prometheus", options, { stdio: "ignore" }), `http://${address}`);
  }

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#url = url;
  }

  /** The values that the query has, as soon as it has any. Rejects if it has none for long. */
  async query(expression: string): Promise<{ readonly labels: Record<string, string>; readonly value: number }[]> {
    for (const until = performance.now() + ANSWERS_WITHIN_MS; performance.now() < until; await sleep(200)) {
      const found = await this.#ask(expression).catch(() => []);
      if (found.length > 0) return found;
    }
    throw new Error(`Prometheus has no value of ${expression}`);
  }

  async #ask(expression: string): Promise<{ labels: Record<string, string>; value: number }[]> {
    const answer = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const { data } = (await answer.json()) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] };
    };
    return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill("SIGTERM");
    await once(this.#child, "exit");
  }
}
