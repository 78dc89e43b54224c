// From a PUT to the new generation carrying traffic, beside the atomic replacement of an equal nftables ruleset; and what
// control costs while nobody asks it anything.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createBoxBetween } from "../support/box-between.ts";
import { RunningBox } from "../support/running-box.ts";

export interface ControlRound {
  readonly rules: number;
  /** From the request until the answer, as the client sees it, in milliseconds. */
  readonly putMs: readonly number[];
  /** Nobody had the lane, in microseconds. */
  readonly pauseUs: readonly number[];
  /** `nft -f` of as many rules. */
  readonly nftMs: readonly number[];
}

const ROUNDS = 20;
const IDLE_SECONDS = 20;
/** What the requests before left behind is collected meanwhile. */
const SETTLE_SECONDS = 15;

export async function measureControl(): Promise<{ rounds: ControlRound[]; idlePercent: number; engines: number }> {
  const between = await createBoxBetween();
  const box = await RunningBox.start(between.box);
  try {
    const rounds: ControlRound[] = [];
    for (const rules of [10, 1000]) rounds.push(await measureRules(box, between.box.name, rules));
    await sleep(SETTLE_SECONDS * 1000);
    const before = cpuSeconds(box.controlPid);
    await sleep(IDLE_SECONDS * 1000);
    const idlePercent = ((cpuSeconds(box.controlPid) - before) / IDLE_SECONDS) * 100;
    return { rounds, idlePercent, engines: 1 };
  } finally {
    await box.dispose();
    await between.close();
  }
}

async function measureRules(box: RunningBox, namespace: string, rules: number): Promise<ControlRound> {
  const [putMs, pauseUs, nftMs]: number[][] = [[], [], []];
  await box.put("edge", edge(rules, 0));
  for (let round = 1; round <= ROUNDS; round++) {
    const started = performance.now();
    const { pauseUs: pause } = await box.put("edge", edge(rules, round));
    putMs?.push(performance.now() - started);
    pauseUs?.push(pause ?? 0);
    nftMs?.push(replaceRuleset(namespace, rules, round));
  }
  return { rules, putMs: putMs ?? [], pauseUs: pauseUs ?? [], nftMs: nftMs ?? [] };
}

/** Every round another one of the rules. */
function listPorts(rules: number, round: number): number[] {
  return Array.from({ length: rules }, (_, index) => 1000 + index + (index === 0 ? round * 2000 : 0));
}

function edge(rules: number, round: number) {
  const denied = listPorts(rules, round).map((port) => ({
    action: "deny",
    ipProtos: ["udp"],
    destinationPorts: [port],
  }));
  return {
    chain: "edge",
    ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
    functions: { fw: { use: "acl@1", config: { default: "permit", rules: denied } } },
    paths: [
      { from: "lan", through: ["fw"], to: "wan" },
      { from: "wan", through: ["fw"], to: "lan" },
    ],
  };
}

function replaceRuleset(namespace: string, rules: number, round: number): number {
  const lines = listPorts(rules, round).map((port) => `udp dport ${port} drop`);
  const chain = `chain forward { type filter hook forward priority 0; policy accept;\n${lines.join("\n")}\n}`;
  const ruleset = `table inet peer\ndelete table inet peer\ntable inet peer {\n${chain}\n}\n`;
  const started = performance.now();
  execFileSync("ip", ["netns", "exec", namespace, "nft", "-f", "-"], { input: ruleset });
  return performance.now() - started;
}

/** User and system time of a process (proc(5), stat), all its threads. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
