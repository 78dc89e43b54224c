// sluice upgrade plan and execute: changes of several steps, described in a document.
import type { Command } from "commander";
import type { ExecuteOptions, ShowOptions } from "./plan-commands.ts";

/** With all that reads documents: other commands of `sluice upgrade` start without. */
const loadCommands = () => import("./plan-commands.ts");

const HELP = `
A plan is groups of steps; each step is a change of the chain, with conditions that have to hold after it. A step that
fails or takes too long is undone and retried; if it fails for good, everything that was done is undone in reverse. If an
undo fails, the generation that was committed last has the traffic again at once; if that fails, the engine ends, and
begins with the state that was stored before the first step when it is started again.`;

export function registerUpgradePlan(upgrade: Command): void {
  upgrade
    .command("plan")
    .description("check an upgrade plan and show its steps; with its chain running, against that")
    .argument("[file]", "the plan (YAML or JSON)")
    .option("--schema", "print the JSON Schema of upgrade plans instead")
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(async (file: string | undefined, options: ShowOptions) =>
      (await loadCommands()).showPlanFile(file, options),
    );
  upgrade
    .command("execute")
    .description("carry out an upgrade plan, and show how it goes")
    .argument("<file>", "the plan (YAML or JSON)")
    .option("--detach", "do not wait for its end; see it with `sluice upgrade status` and `history`")
    .option("--json", "print JSON, one transition per line, the end at last")
    .addHelpText("after", HELP)
    .action(async (file: string, options: ExecuteOptions) => (await loadCommands()).executePlan(file, options));
}
