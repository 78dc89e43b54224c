// The process in which `sluice up` runs control. It has no privilege, and ends when whoever started it does.
import { type Control, startControl } from "../control/control.ts";
import { SluiceError } from "../errors.ts";
import type { ControlMessage, ControlOrder } from "./control-protocol.ts";
import { printError } from "./output.ts";

function tell(message: ControlMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, {}, () => resolve());
    else resolve();
  });
}

let control: Control | undefined;

async function start({ options, named, isFirst }: ControlOrder): Promise<void> {
  try {
    control = await startControl(options, named, isFirst);
    await tell({ kind: "listening", address: control.address, tokenFile: control.tokenFile });
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    await tell({ kind: "refused", faults: error.faults });
    process.exit(error.exitStatus);
  }
}

async function stop(): Promise<void> {
  await control?.close();
  process.exit(0);
}

process.stderr.on("error", () => {});
process.on("uncaughtException", (error) => process.exit(printError(error)));
// Ctrl-C in a terminal reaches it, too: it is told when its time has come.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => void stop());
process.once("disconnect", () => void stop());
process.once("message", (order: ControlOrder) => void start(order));
