// What operators ask for and are answered, and what a request has to be like before it is looked at more closely.
import type { ChainDocument } from "../chain/schema.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { Catalog } from "../function/catalog.ts";
import type { DeploymentOptions } from "./deployment.ts";
import type { ChangePlan, PlannedDocument } from "./planning.ts";
import type { Origin, Revision } from "./revisions.ts";

export interface Declaration {
  readonly chain: string;
  /** YAML or JSON. */
  readonly text: string;
  /** What the text is called in errors. */
  readonly where: string;
  /** Where it stands in a larger document; "" if it is the whole. */
  readonly pointer?: string;
}

export interface ApplyOptions extends Omit<DeploymentOptions, "actor"> {
  readonly dryRun?: boolean;
  /** The chain may be stopped for what cannot be changed while it runs. */
  readonly restart?: boolean;
  /** Of the chain's current revision; `*`: there is one. */
  readonly ifMatch?: string | undefined;
  /** `*`: there is none yet. */
  readonly ifNoneMatch?: string | undefined;
  readonly origin?: Origin;
  /** Where functions come from; those that are built in and registered unless said. */
  readonly catalog?: Catalog;
}

export interface Applied {
  readonly chain: string;
  /** The one that runs now; of a dry run, the one that runs as before; 0 if there is none. */
  readonly revision: number;
  readonly created: boolean;
  readonly changed: boolean;
  readonly state: Revision["state"];
  readonly confirmUntil: string | null;
  readonly plan: ChangePlan;
  /** Between two batches; null if nothing was switched over. */
  readonly pauseUs: number | null;
  /** From the request until everything carried traffic. */
  readonly tookMs: number;
  readonly document: ChainDocument;
}

/** For clients: changes with every revision. */
export function etagOf({ chain, revision }: Pick<Revision, "chain" | "revision">): string {
  return `"${chain}-${revision}"`;
}

export function declare(chain: string, document: ChainDocument): Declaration {
  return { chain, text: JSON.stringify(document), where: chain };
}

/** With the place in the larger document. */
export function extendFault(fault: Fault, { pointer = "" }: Declaration): Fault {
  return fault.pointer === undefined ? fault : { ...fault, pointer: pointer + fault.pointer };
}

/** Throws revision-conflict. */
export function requireMatch(
  chain: string,
  current: Revision | undefined,
  { ifMatch, ifNoneMatch }: Pick<ApplyOptions, "ifMatch" | "ifNoneMatch">,
): void {
  const etag = current === undefined ? undefined : etagOf(current);
  const refuse = (what: string) => {
    throw new SluiceError({ code: "revision-conflict", where: chain, what, help: "read it again, and decide anew" });
  };
  if (ifNoneMatch === "*" && etag !== undefined) refuse(`it is there already, at ${etag}`);
  if (ifMatch === undefined || (ifMatch === "*" && etag !== undefined)) return;
  const asked = ifMatch.split(",").map((each) => each.trim());
  if (etag === undefined || !asked.includes(etag)) refuse(`it is at ${etag ?? "no revision"}, not at ${ifMatch}`);
}

/** Throws document-schema. */
export function requireName(chain: string, { plan }: PlannedDocument, where: string): void {
  if (plan.chain === chain) return;
  const what = `the document is of the chain "${plan.chain}", the address of "${chain}"`;
  throw new SluiceError({ code: "document-schema", where, what, pointer: "/chain" });
}

/** Throws upgrade-state or change-refused for what no generation can do. */
export function requireGeneration({ chain, way, restartFor }: ChangePlan): void {
  if (way === "generation") return;
  if (way === "restart") throw refuseRestart(chain, restartFor);
  const what = way === "start" ? "the chain does not run" : "there is nothing that a generation would change";
  throw new SluiceError({ code: "upgrade-state", where: chain, what });
}

export function refuseRestart(chain: string, reasons: readonly string[]): SluiceError {
  const help = "say `restart` to have it stopped and started for that; its flows are lost then";
  return new SluiceError({ code: "change-refused", where: chain, what: reasons.join("; "), help });
}
