// What must hold while the built-in network talks through the chain.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Observer } from "../telemetry/observer.ts";
import {
  type BuiltInNetwork,
  DENIED_PORT,
  DOWNLOAD,
  download,
  FORWARDED,
  PERMITTED_PORT,
  SERVER,
} from "./built-in-network.ts";

const execute = promisify(execFile);

export interface Check {
  readonly name: string;
  readonly expected: string;
  readonly observed: string;
  readonly held: boolean;
}

const PINGS = 5;
/** Exit status: the connection was refused, or reset while it opened. */
const CURL_REFUSED = 7;

export async function runChecks(network: BuiltInNetwork, observer: Observer): Promise<Check[]> {
  return [
    await checkPing(network, "IPv4", SERVER.ipv4),
    await checkPing(network, "IPv6", SERVER.ipv6),
    await checkDownload(network, "download over IPv4", () => download(network.office, SERVER.ipv4)),
    await checkDownload(network, "download over IPv6", () => download(network.office, SERVER.ipv6)),
    await checkDownload(network, "download from the office's server, outside", () =>
      download(network.internet, FORWARDED.address, FORWARDED.port),
    ),
    await checkHidden(network),
    ...(await checkDenied(network, observer)),
    await checkThroughput(network),
  ];
}

async function checkPing({ office }: BuiltInNetwork, family: string, host: string): Promise<Check> {
  const { stdout } = await office
    .run("ping", "-c", String(PINGS), "-i", "0.1", "-W", "2", host)
    .catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? "" }));
  const received = Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
  const times = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1];
  return {
    name: `ping over ${family}`,
    expected: `${PINGS} answers`,
    observed: `${received} answers${times === undefined ? "" : `, ${times} ms on average`}`,
    held: received === PINGS,
  };
}

/** What the internet sees of the office: the box's address. */
async function checkHidden({ office, internet }: BuiltInNetwork): Promise<Check> {
  const capture = await internet.capture("eth0", `tcp dst port ${PERMITTED_PORT} and tcp[tcpflags] == tcp-syn`, "in");
  await office.run("curl", "-s", "-o", "/dev/null", "-r", "0-0", `http://${SERVER.ipv4}/${DOWNLOAD}`).catch(() => {});
  const callers = new Set((await capture.stop()).map((frame) => [...frame.subarray(26, 30)].join(".")));
  return {
    name: "callers that the internet sees",
    expected: FORWARDED.address,
    observed: [...callers].join(" ") || "none",
    held: callers.size === 1 && callers.has(FORWARDED.address),
  };
}

async function checkDownload(network: BuiltInNetwork, name: string, fetched: () => Promise<string>): Promise<Check> {
  const started = performance.now();
  const hash = await fetched();
  const seconds = (performance.now() - started) / 1000;
  return {
    name,
    expected: `SHA-256 ${network.downloadHash.slice(0, 16)}…`,
    observed: `SHA-256 ${hash.slice(0, 16)}… in ${seconds.toFixed(2)} s`,
    held: hash === network.downloadHash,
  };
}

/** The server listens there; the firewall says no at once, and by which rule. */
async function checkDenied({ office }: BuiltInNetwork, observer: Observer): Promise<Check[]> {
  const before = ruleDrops(observer);
  const url = `http://${SERVER.ipv4}:${DENIED_PORT}/${DOWNLOAD}`;
  const started = performance.now();
  const status = await office.run("curl", "-s", "-o", "/dev/null", "--connect-timeout", "2", url).then(
    () => 0,
    (error: { code?: number }) => error.code ?? 1,
  );
  const took = performance.now() - started;
  const drops = ruleDrops(observer) - before;
  return [
    {
      name: `connection to port ${DENIED_PORT}`,
      expected: "refused at once",
      observed: status === CURL_REFUSED ? `refused after ${took.toFixed(0)} ms` : `curl: exit ${status}`,
      held: status === CURL_REFUSED,
    },
    {
      name: "drops by the rule that rejects it",
      expected: "at least 1",
      observed: String(drops),
      held: drops >= 1,
    },
  ];
}

function ruleDrops(observer: Observer): number {
  return observer.snapshot().functions.find(({ name }) => name === "fw")?.reasons.rule ?? 0;
}

async function checkThroughput({ office }: BuiltInNetwork): Promise<Check> {
  const result = await office
    .run("iperf3", "--client", SERVER.ipv4, "--time", "3", "--json")
    .catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? "" }));
  const bitsPerSecond = readThroughput(result.stdout);
  return {
    name: "iperf3, one TCP connection",
    expected: "above 0",
    observed: `${(bitsPerSecond / 1e6).toFixed(0)} Mbit/s`,
    held: bitsPerSecond > 0,
  };
}

function readThroughput(json: string): number {
  try {
    return Number(JSON.parse(json).end.sum_received.bits_per_second);
  } catch {
    return 0;
  }
}

/** After the engine has stopped: nothing of it is attached to the devices any more. */
export async function checkReleased({ box }: BuiltInNetwork): Promise<Check> {
  const { stdout } = await execute("ip", ["-n", box.name, "-details", "link", "show"]);
  const attached = stdout.split("\n").filter((line) => /\bprog\/xdp\b|\bxdp(generic|drv|offload)?\b/.test(line)).length;
  return {
    name: "XDP programs left on lan0 and wan0",
    expected: "0",
    observed: String(attached),
    held: attached === 0,
  };
}
