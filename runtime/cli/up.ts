// sluice up: runs chains on real devices until it is interrupted.

import { resolve } from "node:path";
import type { Command } from "commander";
import { detachDocument } from "../chain/document.ts";
import type { NamedChain } from "../control/control.ts";
import { requireDevices } from "../dataplane/changeable.ts";
import { SluiceError } from "../errors.ts";
import { admit } from "../function/admission.ts";
import { loadChain } from "../function/load-chain.ts";
import { addControlArguments, type ControlArguments, readControlOptions } from "./control.ts";
import type { EngineOptions } from "./engine-protocol.ts";
import { findHost } from "./host.ts";
import { carryOut } from "./long-order.ts";
import { printWarnings } from "./output.ts";
import { collect } from "./program.ts";
import { GIVE_UP_AFTER, readLimit } from "./supervise.ts";

interface UpOptions extends EngineOptions, ControlArguments {
  /** False with --no-restart. */
  readonly restart: boolean;
  /** False with --no-api. */
  readonly api: boolean;
  readonly giveUpAfter: string;
}

const HELP = `
Without a file, the chains run that are declared over the API. A chain that comes from a file is declared, too, but runs
only as long as a file names it.`;

export function registerUp(program: Command): void {
  const up = program
    .command("up")
    .description("run declared chains, and those of these documents, until interrupted")
    .argument("[files...]", "chain documents (YAML or JSON)")
    .option("--set <function.key=value>", "override configuration; @file for a file's text; repeatable", collect)
    .option("--functions <dir>", "look for functions in this folder too; repeatable", collect)
    .option("--no-api", "run one chain without API, and nothing else")
    .option("--no-restart", "the same, with the engine in this process, which is not started again should it die")
    .option("--give-up-after <deaths>", "do not start it again after so many deaths within a minute", GIVE_UP_AFTER)
    .option("--json", "print JSON, one document per line")
    .addHelpText("after", HELP);
  addControlArguments(up).action(upCommand);
}

async function upCommand(files: readonly string[], options: UpOptions): Promise<void> {
  const { restart, api, giveUpAfter, set, functions, json } = options;
  const engine: EngineOptions = definedOf({ set, functions, json });
  if (!restart) return carryOut({ kind: "engine", file: requireOne(files, "--no-restart"), options: engine });
  const alone = (only: string) =>
    carryOut({ kind: "chain", file: only, options: engine, giveUpAfter: readLimit(giveUpAfter) });
  if (!api) return alone(requireOne(files, "--no-api"));
  const [file] = files;
  if (file !== undefined && files.length === 1 && (await findHost()) !== null) {
    const what = "another process has the API of this box: the chain runs without";
    printWarnings([{ code: "unused-option", where: file, what }]);
    return alone(file);
  }
  const named = files.map((each) => readNamed(each, engine));
  const control = { ...readControlOptions(options), listenOrFail: options.listen !== undefined || files.length === 0 };
  const host = { giveUpAfter: readLimit(giveUpAfter), json: json === true };
  return carryOut({ kind: "box", options: { ...host, control }, named });
}

function requireOne(files: readonly string[], option: string): string {
  const [file, ...others] = files;
  if (file !== undefined && others.length === 0) return file;
  throw new SluiceError({ code: "usage", where: option, what: "needs exactly one chain document" });
}

/** Throws all that is wrong with the document, before anything is started. */
function readNamed(file: string, options: EngineOptions): NamedChain {
  const { document, plan, packages, warnings } = loadChain(file, options);
  printWarnings(warnings);
  requireDevices(plan.ports);
  for (const { wasm, manifest } of packages) admit(wasm, manifest);
  const text = JSON.stringify(detachDocument(document));
  return {
    chain: plan.chain,
    text,
    functions: (options.functions ?? []).map((folder) => resolve(folder)),
    packages: packages.map(({ manifest, manifestText, wasm, origin }) => ({ manifest, manifestText, wasm, origin })),
  };
}

function definedOf<Map extends object>(map: Map): { [Key in keyof Map]: Exclude<Map[Key], undefined> } {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== undefined)) as never;
}
