// Which running engine a command is about.

import { type FoundEngine, findEngines, findFallenEngines } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";

/** The running engine of that chain, or the only one. `command` is for the error. */
export function findEngine(chain: string | undefined, command: string): FoundEngine {
  const engines = findEngines().filter(({ engine }) => chain === undefined || engine.chain === chain);
  const [found, ...others] = engines;
  const fallen = findFallenEngines().find(({ engine }) => chain === undefined || engine.chain === chain);
  if (found === undefined && fallen !== undefined) {
    const what = `the engine of the chain "${fallen.engine.chain}" died and is about to be started again`;
    throw new SluiceError({ code: "not-running", where: command, what, help: "try again in a moment" });
  }
  if (found === undefined) {
    const what = chain === undefined ? "no chain is running" : `the chain "${chain}" is not running`;
    throw new SluiceError({ code: "not-running", where: command, what, help: "start one with `sluice up FILE`" });
  }
  if (others.length > 0) {
    const names = engines.map(({ engine }) => engine.chain).join(", ");
    throw new SluiceError({
      code: "usage",
      where: command,
      what: `several chains are running: ${names}`,
      help: "name one",
    });
  }
  return found;
}
