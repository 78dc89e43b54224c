// Composition root of the command line.

import { CommanderError } from "commander";
import { registerAudit } from "./cli/audit.ts";
import { registerBackup } from "./cli/backup.ts";
import { registerCapture } from "./cli/capture.ts";
import { registerChain } from "./cli/chain.ts";
import { registerCompletion } from "./cli/completion.ts";
import { registerControl } from "./cli/control.ts";
import { registerDoctor } from "./cli/doctor.ts";
import { registerFlows } from "./cli/flows.ts";
import { registerFunction } from "./cli/function.ts";
import { printError } from "./cli/output.ts";
import { createProgram } from "./cli/program.ts";
import { registerReplay } from "./cli/replay.ts";
import { registerToken } from "./cli/token.ts";
import { registerTop } from "./cli/top.ts";
import { registerTrace } from "./cli/trace.ts";
import { registerUp } from "./cli/up.ts";
import { registerUpgrade } from "./cli/upgrade.ts";

const program = createProgram();
for (const register of [
  registerUp,
  registerUpgrade,
  registerControl,
  registerReplay,
  registerChain,
  registerFunction,
  registerToken,
  registerAudit,
  registerBackup,
  registerTop,
  registerFlows,
  registerTrace,
  registerCapture,
  registerDoctor,
  registerCompletion,
])
  register(program);

// Whoever reads our output may stop reading: `sluice top | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});
process.on("uncaughtException", (error) => process.exit(printError(error)));

try {
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
