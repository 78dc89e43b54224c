// The process of a command that goes on until it is stopped, once it has only the privileges that it uses.
import { takeOrder } from "./long-order.ts";
import { printError } from "./output.ts";
import { runOrder } from "./run-order.ts";

// Whoever reads our output may stop reading.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  throw error;
});
process.on("uncaughtException", (error) => process.exit(printError(error)));

try {
  await runOrder(takeOrder(process.argv[2] as string));
} catch (error) {
  process.exit(printError(error));
}
