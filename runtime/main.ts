// Composition root of the command line.

import { CommanderError } from "commander";
import { printError } from "./cli/output.ts";
import { createProgram } from "./cli/program.ts";

type Register = (program: ReturnType<typeof createProgram>) => void;

/** In the order of the help, by the words that they register. To load all of them takes longer than most commands do. */
const commands: Readonly<Record<string, () => Promise<Register>>> = {
  up: async () => (await import("./cli/up.ts")).registerUp,
  upgrade: async () => (await import("./cli/upgrade.ts")).registerUpgrade,
  "control dataplane": async () => (await import("./cli/control.ts")).registerControl,
  replay: async () => (await import("./cli/replay.ts")).registerReplay,
  chain: async () => (await import("./cli/chain.ts")).registerChain,
  function: async () => (await import("./cli/function.ts")).registerFunction,
  token: async () => (await import("./cli/token.ts")).registerToken,
  audit: async () => (await import("./cli/audit.ts")).registerAudit,
  "backup restore": async () => (await import("./cli/backup.ts")).registerBackup,
  top: async () => (await import("./cli/top.ts")).registerTop,
  flows: async () => (await import("./cli/flows.ts")).registerFlows,
  trace: async () => (await import("./cli/trace.ts")).registerTrace,
  capture: async () => (await import("./cli/capture.ts")).registerCapture,
  doctor: async () => (await import("./cli/doctor.ts")).registerDoctor,
  completion: async () => (await import("./cli/completion.ts")).registerCompletion,
};

/** The one that is asked for; all of them where they are to be listed, or a word is none of theirs. */
function chooseCommands([word = ""]: readonly string[]): readonly (() => Promise<Register>)[] {
  const asked = Object.entries(commands).find(([words]) => word !== "completion" && words.split(" ").includes(word));
  return asked === undefined ? Object.values(commands) : [asked[1]];
}

// Whoever reads our output may stop reading: `sluice top | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});
process.on("uncaughtException", (error) => process.exit(printError(error)));

const program = createProgram();
try {
  for (const load of chooseCommands(process.argv.slice(2))) (await load())(program);
  await program.parseAsync();
} catch (error) {
  // Workers and sockets of a command that failed must not keep the process alive.
  process.exit(isHelp(error) ? helpStatus(error) : printError(error));
}

function isHelp(error: unknown): error is CommanderError {
  return error instanceof CommanderError;
}

/** Help that was asked for is a success; help in place of a missing command is wrong usage. */
function helpStatus(error: CommanderError): 0 | 2 {
  return error.exitCode === 0 ? 0 : 2;
}
