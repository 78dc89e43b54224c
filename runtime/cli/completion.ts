// sluice completion: what a shell needs to know to complete a command line, from the commands themselves.
import { Argument, type Command } from "commander";
import { bashScript, fishScript, zshScript } from "./completion-scripts.ts";
import { printLine } from "./output.ts";

/** What can follow a command. */
export interface Place {
  /** `sluice chain get`. */
  readonly path: string;
  readonly commands: readonly string[];
  readonly options: readonly string[];
  /** Options after which a value stands. */
  readonly valued: readonly string[];
  /** Whether chains are named there. */
  readonly takesChains: boolean;
}

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
type Shell = keyof typeof scripts;

export function registerCompletion(program: Command): void {
  program
    .command("completion")
    .description("print what a shell needs to complete commands, options and names of chains")
    .addArgument(new Argument("<shell>").choices(Object.keys(scripts)))
    .action((shell: Shell) => printLine(scripts[shell](listPlaces(program)).trimEnd()));
}

export function listPlaces(command: Command, above: readonly string[] = []): Place[] {
  const path = [...above, command.name()];
  const options = command.options.filter(({ hidden }) => !hidden);
  const names = options.flatMap(({ short, long }) => [short, long].filter((name) => name !== undefined));
  const valued = options.filter(({ required, optional }) => required || optional);
  const place = {
    path: path.join(" "),
    commands: [...command.commands.map((each) => each.name()), ...(above.length === 0 ? ["help"] : [])],
    options: [...names, "-h", "--help"],
    valued: valued.flatMap(({ short, long }) => [short, long].filter((name) => name !== undefined)),
    takesChains: command.registeredArguments.some((argument) => /^chains?$/.test(argument.name())),
  };
  return [
    { ...place, commands: place.commands.length === 1 && command.commands.length === 0 ? [] : place.commands },
    ...command.commands.flatMap((each) => listPlaces(each, path)),
  ];
}
