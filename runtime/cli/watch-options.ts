// What `sluice trace` and `sluice capture` have in common: which packets, and until when.
import type { Command } from "commander";
import type { FilterRequest } from "../dataplane/observe/requests.ts";
import { SluiceError } from "../errors.ts";
import { addServerOptions, type ServerOptions } from "./api-client.ts";
import { collect } from "./program.ts";

export interface WatchOptions extends ServerOptions {
  readonly match?: string;
  readonly flow?: string;
  readonly port?: readonly string[];
  readonly drop?: readonly string[];
  readonly count?: string;
  readonly seconds?: string;
}

export function addWatchOptions(command: Command): Command {
  return addServerOptions(command)
    .option("--match <conditions>", "frames that these take: a path's match, as YAML: '{ ipProtos: [udp] }'")
    .option("--flow <flow>", "one flow: its number, or 'udp 10.0.0.1:5000 > 10.0.0.2:53' for both directions")
    .option("--port <name>", "frames of this port; repeatable", collect)
    .option(
      "--drop <cause>",
      "dropped frames: any, FUNCTION, FUNCTION:REASON[:DETAIL], an engine reason; repeatable",
      collect,
    )
    .option("--count <n>", "end after n frames")
    .option("--seconds <n>", "end after n seconds");
}

export function readFilter({ match, flow, port, drop }: WatchOptions): FilterRequest {
  return {
    ...(match === undefined ? {} : { match }),
    ...(flow === undefined ? {} : { flow }),
    ...(port === undefined ? {} : { ports: [...port] }),
    ...(drop === undefined ? {} : { drops: [...drop] }),
  };
}

/** `{ [key]: number }` if the option was given. */
export function readCount<Key extends string>(
  key: Key,
  option: string,
  text: string | undefined,
): { [K in Key]?: number } {
  if (text === undefined) return {};
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value > 0) return { [key]: value } as { [K in Key]: number };
  throw new SluiceError({ code: "usage", where: option, what: `"${text}" is not a number above 0` });
}

/** Aborts with Ctrl-C and SIGTERM: what there is so far is still told. */
export function untilInterrupted(): AbortSignal {
  const enough = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => enough.abort());
  return enough.signal;
}
