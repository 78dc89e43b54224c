// sluice control, sluice dataplane: the two halves of `sluice up`, each by itself.
import type { Command } from "commander";
import type { ControlOptions } from "../control/control.ts";
import { SluiceError } from "../errors.ts";
import { carryOut } from "./long-order.ts";
import { readVersion } from "./program.ts";
import { GIVE_UP_AFTER, readLimit } from "./supervise.ts";

export interface ControlArguments {
  readonly listen?: string;
  readonly tls?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
  readonly allowUnsigned?: boolean;
  readonly logLevel: string;
  readonly requestRate: string;
  readonly streams: string;
  readonly auditEntries: string;
}

const LISTEN = "127.0.0.1:7680";
const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

export function addControlArguments(command: Command): Command {
  return command
    .option("--listen <address:port>", `where the API listens (default: ${LISTEN})`)
    .option("--tls", "encrypt the API, with a certificate that is made unless one is named")
    .option("--tls-cert <file>", "the API's certificate (PEM)")
    .option("--tls-key <file>", "its key (PEM)")
    .option("--client-ca <file>", "clients need a certificate of this authority (PEM)")
    .option("--allow-unsigned", "admit function packages that nobody signed")
    .option("--request-rate <n>", "requests per second from one address at the most", "200")
    .option("--streams <n>", "live streams of one token at the same time at the most", "32")
    .option("--audit-entries <n>", "entries of the audit that are kept", "10000")
    .option("--log-level <level>", `of control: ${logLevels.join(", ")}`, "warn");
}

export function readControlOptions(given: ControlArguments): ControlOptions {
  if (!logLevels.includes(given.logLevel)) {
    const what = `"${given.logLevel}" is none of ${logLevels.join(", ")}`;
    throw new SluiceError({ code: "usage", where: "--log-level", what });
  }
  const { listen = LISTEN, tls, tlsCert, tlsKey, clientCa, allowUnsigned, logLevel } = given;
  const limits = {
    requestsPerSecond: readCount("--request-rate", given.requestRate),
    streams: readCount("--streams", given.streams),
    auditEntries: readCount("--audit-entries", given.auditEntries),
  };
  const files = { tls, tlsCert, tlsKey, clientCa };
  return { listen, listenOrFail: true, ...files, ...limits, allowUnsigned, logLevel, version: readVersion() };
}

function readCount(where: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new SluiceError({ code: "usage", where, what: `"${text}" is not a number above 0` });
}

export function registerControl(program: Command): void {
  const control = program
    .command("control")
    .description("run only the API, for a dataplane that runs by itself")
    .option("--json", "print JSON");
  addControlArguments(control).action((given: ControlArguments & { readonly json?: boolean }) =>
    carryOut({ kind: "control", options: readControlOptions(given), json: given.json === true }),
  );
  program
    .command("dataplane")
    .description("run only the engines of what `sluice control` declares")
    .option(
      "--give-up-after <deaths>",
      "do not start an engine again after so many deaths within a minute",
      GIVE_UP_AFTER,
    )
    .option("--json", "print JSON, one document per line")
    .action(({ giveUpAfter, json }: { giveUpAfter: string; json?: boolean }) =>
      carryOut({ kind: "host", options: { giveUpAfter: readLimit(giveUpAfter), json: json === true } }),
    );
}
