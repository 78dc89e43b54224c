// How `sluice upgrade` talks to a running engine: one JSON document per line, over a Unix socket in its state folder that
// only the engine's user can open.
import { once } from "node:events";
import { chmodSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { CanaryRule } from "../chain/canary.ts";
import { parseMatch } from "../chain/match-source.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { Change } from "./change.ts";
import { type Condition, parseCondition } from "./conditions.ts";
import type { PlanPreview, Plans } from "./plans.ts";
import type { PlanProgress } from "./running-plan.ts";
import { COMMIT_WITHIN_MS, type UpgradeStatus, type Upgrades } from "./upgrade.ts";

/** What a change is, read by the engine: absolute paths. */
export interface ChangeRequest {
  /** The chain document; null for the one that runs. */
  readonly file: string | null;
  readonly set: readonly string[];
  readonly functions: readonly string[];
  /** `function=name@range`: other packages than the document names. */
  readonly use: readonly string[];
  /** State that the next generation cannot take over begins anew. */
  readonly cold: boolean;
  readonly dryRun: boolean;
}

/** `share` of all flows, 0 … 1, or those that `match` takes: the text of a path's in a chain document. */
export type CanaryRequest = { readonly share: number } | { readonly match: string };

export type UpgradeRequest = { readonly actor: string } & (
  | { readonly step: "status" | "commit" | "abort" }
  | {
      readonly step: "switchover";
      readonly canary?: CanaryRequest | undefined;
      readonly abortOn?: readonly string[] | undefined;
    }
  | {
      readonly step: "load";
      readonly change: ChangeRequest;
      readonly commitWithinMs?: number | undefined;
      /** The loaded generation is to get copies of the traffic. */
      readonly shadow?: { readonly abortOn: readonly string[] } | undefined;
    }
);

/** Of plans of several steps; files are absolute. */
export type PlanRequest =
  | { readonly step: "preview"; readonly file: string }
  | { readonly step: "execute"; readonly file: string; readonly actor: string }
  | { readonly step: "progress"; readonly since: number };

type Answer =
  | { readonly status: UpgradeStatus }
  | { readonly preview: PlanPreview }
  | { readonly progress: PlanProgress }
  | { readonly faults: readonly Fault[] };

const SOCKET = "upgrade.sock";

export class UpgradeServer {
  readonly #server: Server;
  readonly #file: string;
  #busy: Promise<unknown> = Promise.resolve();

  /** `read` makes a plan of a request, or throws what is wrong with it. */
  static async listen(
    folder: string,
    upgrades: Upgrades,
    read: (request: ChangeRequest) => Change,
    plans: Plans,
  ): Promise<UpgradeServer> {
    const server = new UpgradeServer(folder, upgrades, read, plans);
    server.#server.listen(server.#file);
    await once(server.#server, "listening");
    chmodSync(server.#file, 0o600);
    return server;
  }

  private constructor(folder: string, upgrades: Upgrades, read: (request: ChangeRequest) => Change, plans: Plans) {
    this.#file = join(folder, SOCKET);
    rmSync(this.#file, { force: true });
    this.#server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      createInterface({ input: socket }).on("line", (line) => {
        const answer = () => this.#answer(socket, line, upgrades, read, plans);
        // One step after the other, whoever asks; but who only looks at a plan does not wait for its end.
        if (/"step":"progress"/.test(line)) void answer();
        else this.#busy = this.#busy.then(answer);
      });
    });
  }

  close(): void {
    this.#server.close();
  }

  async #answer(
    socket: Socket,
    line: string,
    upgrades: Upgrades,
    read: (request: ChangeRequest) => Change,
    plans: Plans,
  ): Promise<void> {
    let answer: Answer;
    try {
      const request = JSON.parse(line) as UpgradeRequest | PlanRequest;
      answer = isPlanRequest(request)
        ? answerPlan(request, plans)
        : { status: await carryOut(request, upgrades, read) };
    } catch (error) {
      const what = (error as Error).message;
      const faults =
        error instanceof SluiceError ? error.faults : [{ code: "internal" as const, where: "upgrade", what }];
      answer = { faults };
    }
    if (socket.writable) socket.write(`${JSON.stringify(answer)}\n`);
  }
}

function isPlanRequest(request: UpgradeRequest | PlanRequest): request is PlanRequest {
  return request.step === "preview" || request.step === "execute" || request.step === "progress";
}

function answerPlan(request: PlanRequest, plans: Plans): Answer {
  if (request.step === "preview") return { preview: plans.preview(request.file) };
  if (request.step === "execute") return { progress: plans.execute(request.file, request.actor) };
  return { progress: plans.progress(request.since) };
}

async function carryOut(
  request: UpgradeRequest,
  upgrades: Upgrades,
  read: (request: ChangeRequest) => Change,
): Promise<UpgradeStatus> {
  const { actor } = request;
  switch (request.step) {
    case "load": {
      const change = read(request.change);
      if (request.change.dryRun) return upgrades.preview(change);
      const conditions = request.shadow?.abortOn.map((text) => parseCondition(text));
      const loaded = await upgrades.load(change, actor, request.commitWithinMs ?? COMMIT_WITHIN_MS);
      return conditions === undefined ? loaded : upgrades.shadow(conditions, actor);
    }
    case "switchover":
      return upgrades.switchover(actor, readCanary(request.canary, upgrades), readConditions(request.abortOn));
    case "commit":
      return upgrades.commit(actor);
    case "abort":
      return upgrades.abort(actor);
    default:
      return upgrades.status;
  }
}

function readConditions(texts: readonly string[] = []): Condition[] {
  const conditions = texts.map((text) => parseCondition(text));
  const compared = conditions.find(({ measure }) => measure === "divergence");
  if (compared === undefined) return conditions;
  const what = `"${compared.text}" compares with a shadow; after the switchover there is none`;
  throw new SluiceError({ code: "usage", where: "--abort-on", what, help: "say it with `load --shadow`" });
}

function readCanary(request: CanaryRequest | undefined, { labels }: Upgrades): CanaryRule | null {
  if (request === undefined) return null;
  if ("share" in request) return { share: request.share, match: null };
  const match = parseMatch(request.match, "--canary-match", labels);
  return { share: match === null ? 1 : 0, match };
}

/** Asks the engine that has this state folder. Throws what the engine says, or not-running. */
export async function requestUpgrade(folder: string, request: UpgradeRequest): Promise<UpgradeStatus> {
  const answer = await ask(folder, request);
  return (answer as { readonly status: UpgradeStatus }).status;
}

/** What the plan would do. Throws what the engine says, or not-running. */
export async function previewPlan(folder: string, file: string): Promise<PlanPreview> {
  const answer = await ask(folder, { step: "preview", file });
  return (answer as { readonly preview: PlanPreview }).preview;
}

/** Begins a plan, or looks how far the last one is. Throws what the engine says, or not-running. */
export async function requestPlan(
  folder: string,
  request: Exclude<PlanRequest, { readonly step: "preview" }>,
): Promise<PlanProgress> {
  const answer = await ask(folder, request);
  return (answer as { readonly progress: PlanProgress }).progress;
}

async function ask(
  folder: string,
  request: UpgradeRequest | PlanRequest,
): Promise<Exclude<Answer, { readonly faults: unknown }>> {
  const socket = connect(join(folder, SOCKET));
  try {
    await once(socket, "connect");
  } catch (error) {
    throw new SluiceError({ code: "not-running", where: folder, what: (error as Error).message });
  }
  socket.write(`${JSON.stringify(request)}\n`);
  for await (const line of createInterface({ input: socket })) {
    socket.destroy();
    const answer = JSON.parse(line) as Answer;
    if (!("faults" in answer)) return answer;
    throw new SluiceError(...(answer.faults as [Fault, ...Fault[]]));
  }
  throw new SluiceError({ code: "not-running", where: folder, what: "the engine ended before it answered" });
}
