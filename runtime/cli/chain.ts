// sluice chain plan: what can be said of a chain document without an engine.

import type { Command } from "commander";
import type { Plan, PlannedPort, Target } from "../chain/plan.ts";
import { chainSchema } from "../chain/schema.ts";
import { type ChainOptions, type LoadedChain, loadChain } from "../function/load-chain.ts";
import { registerDeclaring } from "./chain-declare.ts";
import { formatMatch, formatPrefix, kernelClassName, namesOf } from "./match-text.ts";
import { formatTable, printJson, printLine, printWarnings } from "./output.ts";
import { collect } from "./program.ts";

export function registerChain(program: Command): void {
  const chain = program.command("chain").description("check, declare and show chains");
  chain
    .command("plan")
    .description("check a chain document and print its hops and paths")
    .argument("<file>", "the chain document (YAML or JSON)")
    .option("--set <function.key=value>", "override configuration; @file for a file's text; repeatable", collect)
    .option("--functions <dir>", "look for functions in this folder too; repeatable", collect)
    .option("--json", "print JSON")
    .action(planCommand);
  registerDeclaring(chain);
  chain
    .command("schema")
    .description("print the JSON Schema of chain documents")
    .action(() => printJson(chainSchema));
}

function planCommand(file: string, options: ChainOptions & { readonly json?: boolean }): void {
  const loaded = loadChain(file, options);
  printWarnings(loaded.warnings);
  if (options.json) printJson(describePlan(loaded));
  else for (const line of drawPlan(loaded.plan)) printLine(line);
}

/** The plan with names instead of indices and text instead of bytes. */
function describePlan({ plan, warnings, packages }: LoadedChain) {
  return {
    chain: plan.chain,
    description: plan.description,
    ports: plan.ports.map((port) => ({
      ...port,
      kernel: port.kernel.map(kernelClassName),
      answersFor: port.answersFor.map(formatPrefix),
      zone: plan.zones[port.zone] ?? "",
    })),
    functions: plan.functions.map((planned, index) => ({
      ...planned,
      package: `${planned.package.name}@${planned.package.version}`,
      origin: packages[index]?.origin,
      events: {
        defines: namesOf(planned.events.defines, plan.events),
        subscribes: namesOf(planned.events.subscribes, plan.events),
      },
      labels: namesOf(planned.labels, plan.labels),
    })),
    columns: plan.columns.map((column) => ({ ...column, owner: functionName(plan, column.owner) })),
    flows: plan.flows,
    hops: plan.hops.map((hop, index) => ({
      hop: index,
      function: functionName(plan, hop.function),
      path: hop.path,
      next: targetName(plan, hop.next),
      branches: Object.fromEntries(listBranches(plan, hop).map(([name, target]) => [name, targetName(plan, target)])),
    })),
    paths: plan.paths.map((path, index) => ({
      path: index,
      from: portName(plan, path.from),
      match: formatMatch(path.match, plan.labels),
      first: targetName(plan, path.first),
    })),
    warnings,
  };
}

function drawPlan(plan: Plan): string[] {
  const title = plan.description === "" ? plan.chain : `${plan.chain}: ${plan.description}`;
  const tables = [
    drawTable(
      ["port", "driver", "device", "queues", "mode", "left to the kernel", "answers for"],
      plan.ports.map(portRow),
    ),
    drawTable(["function", "package", "frames", "on fault", "pages"], plan.functions.map(functionRow)),
    drawTable(
      ["path", "from", "way", "match"],
      plan.paths.map((_, index) => pathRow(plan, index)),
    ),
    drawTable(
      ["hop", "function", "path", "next", "branches"],
      plan.hops.map((_, index) => hopRow(plan, index)),
    ),
    drawTable(
      ["column", "type", "writer", "readers", "exported"],
      plan.columns.map((column) => columnRow(plan, column)),
    ),
  ];
  return [title, ...tables.flat()];
}

function drawTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  return rows.length === 0 ? [] : ["", ...formatTable(header, rows)];
}

function portRow({ name, driver, device, queues, mode, kernel, answersFor }: PlannedPort) {
  const place = [name, driver, device || "-", queues.join(","), mode ?? "best"];
  return [...place, kernel.map(kernelClassName).join(" ") || "-", answersFor.map(formatPrefix).join(" ") || "-"];
}

function functionRow({
  name,
  package: { name: used, version },
  frames,
  onFault,
  memoryPages,
}: Plan["functions"][number]) {
  return [name, `${used}@${version}`, frames, onFault, memoryPages];
}

function pathRow(plan: Plan, index: number) {
  const path = plan.paths[index] as Plan["paths"][number];
  const match = Object.entries(formatMatch(path.match, plan.labels)).map(
    ([key, values]) => `${key}=${values.join(",")}`,
  );
  return [index, portName(plan, path.from), drawWay(plan, path.first), match.join(" ") || "everything"];
}

/** `fw → ids → wan`: where a frame goes that every function lets pass. */
function drawWay(plan: Plan, first: Target): string {
  const steps: string[] = [];
  let target = first;
  while (target.kind === "hop") {
    const hop = plan.hops[target.hop] as Plan["hops"][number];
    steps.push(functionName(plan, hop.function));
    target = hop.next;
  }
  return [...steps, targetName(plan, target)].join(" → ");
}

function hopRow(plan: Plan, index: number) {
  const hop = plan.hops[index] as Plan["hops"][number];
  const branches = listBranches(plan, hop).map(([name, target]) => `${name} → ${targetName(plan, target)}`);
  return [index, functionName(plan, hop.function), hop.path, targetName(plan, hop.next), branches.join(", ") || "-"];
}

function columnRow(plan: Plan, { name, type, owner, export: isExported }: Plan["columns"][number]) {
  const readers = plan.functions.filter(({ columns }) => columns.reads.includes(name)).map((reader) => reader.name);
  return [name, type, functionName(plan, owner), readers.join(" ") || "-", isExported ? "yes" : "no"];
}

function listBranches(plan: Plan, hop: Plan["hops"][number]): [string, Target][] {
  const names = plan.functions[hop.function]?.branches ?? [];
  return hop.branches.map((target, index) => [names[index] as string, target]);
}

function targetName(plan: Plan, target: Target): string {
  if (target.kind === "none" || target.kind === "route") return target.kind;
  return target.kind === "port" ? portName(plan, target.port) : `hop ${target.hop}`;
}

function portName(plan: Plan, index: number): string {
  return plan.ports[index]?.name ?? "";
}

function functionName(plan: Plan, index: number): string {
  return plan.functions[index]?.name ?? "";
}
