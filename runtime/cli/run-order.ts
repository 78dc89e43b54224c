// What carries out the commands that go on until they are stopped.
import type { ControlOptions } from "../control/control.ts";
import { runBox, runHost } from "./box.ts";
import type { LongOrder } from "./long-order.ts";
import { printLine } from "./output.ts";
import { runEngine } from "./run-engine.ts";
import { supervise } from "./supervise.ts";

export function runOrder(order: LongOrder): Promise<void> {
  switch (order.kind) {
    case "box":
      return runBox(order.options, order.named);
    case "host":
      return runHost(order.options);
    case "control":
      return runControl(order.options, order.json);
    case "chain":
      return supervise(order.file, order.options, order.giveUpAfter);
    case "engine":
      return runEngine(order.file, order.options);
  }
}

async function runControl(options: ControlOptions, json: boolean): Promise<void> {
  const { startControl } = await import("../control/control.ts");
  const { address, tokenFile, close } = await startControl(options);
  if (json) printLine(JSON.stringify({ state: "listening", address, tokenFile }));
  else printLine(`API ${address}, token in ${tokenFile}; chains go on when this process ends`);
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  await close();
}
