// Compares what became of a policy's conversations on both paths, and keeps what no named difference explains.
import { seedDice } from "../rule-sets.ts";
import type { PolicyBed } from "./bed.ts";
import { isOutsideAddress, type Plan, planConversations } from "./conversations.ts";
import { namedDifferences } from "./named-differences.ts";
import type { Policy } from "./policy.ts";
import { type Comparison, converse, type PathName, paths, type Round } from "./two-paths.ts";

const CONVERSATIONS = 30;
const FIRST_PORT = 2000;
const PORTS = 60_000;

export class Judgement {
  packets = 0;
  /** Packets that both paths let pass, changed, and let pass and dropped. */
  passed = 0;
  translated = 0;
  dropped = 0;
  answers = 0;
  readonly explained = new Map<string, number>();
  readonly unexplained: string[] = [];

  /** Once `policy` is applied. */
  async compare(bed: PolicyBed, policy: Policy): Promise<void> {
    const port = FIRST_PORT + ((policy.seed * CONVERSATIONS) % PORTS);
    const plans = planConversations(policy, seedDice(policy.seed + 1), CONVERSATIONS, port, seedDice);
    const differing = new Set<Plan>();
    const tuples = new TupleLedger();
    for await (const round of converse(bed.relay, plans)) {
      for (const frame of round.late) this.unexplained.push(`seed ${policy.seed}: late: ${frame}`);
      for (const comparison of round.comparisons) this.#judge(comparison, policy, differing);
      this.#judgeAnswers(round, policy, differing);
      for (const fault of tuples.enter(round)) this.unexplained.push(`seed ${policy.seed}: ${fault}`);
    }
  }

  #judge(comparison: Comparison, policy: Policy, differing: Set<Plan>): void {
    const { plan, oddity, step, fates } = comparison;
    const { engine, kernel } = fates;
    if (differing.has(plan)) return;
    this.packets++;
    if (engine.arrived === kernel.arrived) {
      if (rejectsUntranslated(policy) && engine.arrived === null && callsOutsideAddress(engine.sent))
        differing.add(plan);
      if (engine.arrived === null) this.dropped++;
      else this.passed++;
      if (engine.arrived !== null && !engine.arrived.startsWith(endpointsOf(engine.sent))) this.translated++;
      return;
    }
    const named = namedDifferences.find(({ explains }) => explains(comparison, policy));
    // What follows depends on it.
    if (named?.passes !== true) differing.add(plan);
    if (named !== undefined) {
      this.explained.set(named.name, (this.explained.get(named.name) ?? 0) + 1);
      return;
    }
    const what = `${plan.name} from ${plan.from}, packet ${step + 1}${oddity === undefined ? "" : ` (${oddity})`}`;
    const lines = paths.map((path) => `  ${path}: ${fates[path].sent}\n    → ${fates[path].arrived}`);
    this.unexplained.push([`seed ${policy.seed}: ${what}`, ...lines].join("\n"));
  }

  /** Of conversations that do not differ otherwise, which their ports tell. */
  #judgeAnswers({ answers }: Round, policy: Policy, differing: ReadonlySet<Plan>): void {
    const ports = [...differing].map(({ tuple }) => tuple.sourcePort);
    const others = [...differing].map(({ tuple }) => `198.18.${tuple.sourcePort >> 8}.${tuple.sourcePort & 255}`);
    const isOfDiffering = (line: string) =>
      ports.some((port) => new RegExp(`(?::|id )${port}\\b`).test(line)) ||
      others.some((address) => line.includes(address));
    const [engine, kernel] = paths.map((path) => answers[path].filter((line) => !isOfDiffering(line))) as [
      string[],
      string[],
    ];
    this.answers += engine.length;
    if (engine.join("\n") === kernel.join("\n")) return;
    const only = (some: readonly string[], rest: readonly string[]) => some.filter((line) => !rest.includes(line));
    const lines = [
      `  engine: ${only(engine, kernel).join("\n          ")}`,
      `  kernel: ${only(kernel, engine).join("\n          ")}`,
    ];
    this.unexplained.push([`seed ${policy.seed}: answers`, ...lines].join("\n"));
  }
}

/** Of what is invalid the kernel judges the outside address, and answers from there or not: see invalid-untranslated. */
function rejectsUntranslated({ translation, rules }: Policy): boolean {
  return (
    translation !== null && rules.some(({ action, states = [] }) => action === "reject" && states.includes("invalid"))
  );
}

function callsOutsideAddress(line: string): boolean {
  const destination = line.split(" ")[3] ?? "";
  return isOutsideAddress(destination.replace("[", ""));
}

const endpointsOf = (line: string) => line.split(" ").slice(0, 4).join(" ");

/** Outside tuples by path: which conversation has which. No two may have the same, and none may change. */
class TupleLedger {
  readonly #owners = new Map<string, Plan>();
  readonly #outside = new Map<string, string>();

  *enter({ comparisons }: Round): Generator<string> {
    for (const { plan, fates } of comparisons)
      for (const path of paths) yield* this.#enterFate(path, plan, fates[path].tuple);
  }

  *#enterFate(path: PathName, plan: Plan, tuple: Comparison["fates"]["engine"]["tuple"]): Generator<string> {
    if (plan.from !== "lan" || tuple === null || !isPooled(tuple.source)) return;
    const { proto, source, sourcePort, destination, destinationPort } = tuple;
    const outside = `${proto} ${source}:${sourcePort}`;
    const key = `${path} ${outside} > ${destination}:${proto === "icmp" ? 0 : destinationPort}`;
    const owner = this.#owners.get(key) ?? plan;
    this.#owners.set(key, owner);
    if (owner !== plan) yield `${key} belongs to two conversations`;
    const name = `${path} ${proto} ${plan.tuple.source}:${plan.tuple.sourcePort} > ${plan.tuple.destination}`;
    const before = this.#outside.get(name) ?? outside;
    this.#outside.set(name, before);
    if (before !== outside) yield `${name} had ${before}, then ${outside}`;
  }
}

function isPooled(address: string): boolean {
  const last = Number(/^203\.0\.113\.(\d+)$/.exec(address)?.[1] ?? 255);
  return last < 128 || /^2001:db8:f::(?:[12]|4[0-3])$/.test(address);
}
