// The host: starts an engine for each chain that it is told to run, and starts it again when it dies. It knows nothing
// of what is declared: that is the control process's, which may come and go.
import { existsSync } from "node:fs";
import { enginePrivileges } from "../dataplane/privileges.ts";
import { ensureStateRoot } from "../dataplane/state-folder.ts";
import { type Fault, SluiceError } from "../errors.ts";
import {
  askHost,
  type Host,
  type HostedChain,
  type HostedStatus,
  hostSocket,
  listenAsHost,
  type RunRequest,
} from "../generation/host-socket.ts";
import type { LineServer } from "../generation/line-socket.ts";
import { Supervisor } from "./supervise.ts";

interface Hosted extends HostedChain {
  readonly supervisor: Supervisor;
  /** Resolves when no process of it is left. */
  ended: Promise<void>;
  state: HostedStatus["state"];
  folder: string | null;
  confirmUntil: string | null;
  deadline: NodeJS.Timeout | undefined;
  faults: readonly Fault[];
}

export interface HostOptions {
  /** Deaths within a minute after which an engine is given up. */
  readonly giveUpAfter: number;
  readonly json: boolean;
}

export class ChainHost implements Host {
  readonly #options: HostOptions;
  readonly #chains = new Map<string, Hosted>();
  #server: LineServer<unknown> | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  /** Throws chain-running if there is a host on this machine's state folder already. */
  async listen(): Promise<void> {
    ensureStateRoot();
    const other = await findHost();
    if (other !== null) {
      const what = `process ${other} hosts chains there`;
      const help = "end it, or let SLUICE_STATE_DIR differ";
      throw new SluiceError({ code: "chain-running", where: hostSocket(), what, help });
    }
    this.#server = await listenAsHost(this);
  }

  async run(request: RunRequest): Promise<HostedStatus> {
    const known = this.#chains.get(request.chain);
    if (known !== undefined && known.state !== "failed") {
      throw new SluiceError({ code: "chain-running", where: request.chain, what: `it is ${known.state}` });
    }
    const hosted = this.#start(request);
    try {
      hosted.folder = await hosted.supervisor.started;
    } catch (error) {
      // One that dies again and again is not waited for.
      hosted.supervisor.stop("SIGTERM");
      await hosted.ended;
      throw error;
    }
    hosted.state = "running";
    if (request.confirmWithinMs !== undefined)
      this.#awaitConfirmation(hosted, request.confirmWithinMs, request.fallback);
    return describe(hosted);
  }

  confirm(chain: string): HostedStatus {
    const hosted = this.#require(chain);
    if (hosted.state !== "running") {
      throw new SluiceError({ code: "upgrade-state", where: chain, what: `it is ${hosted.state}` });
    }
    clearTimeout(hosted.deadline);
    hosted.confirmUntil = null;
    return describe(hosted);
  }

  async stop(chain: string): Promise<HostedStatus> {
    const hosted = this.#require(chain);
    clearTimeout(hosted.deadline);
    hosted.state = "stopping";
    hosted.supervisor.stop("SIGTERM");
    await hosted.ended;
    if (this.#chains.get(chain) === hosted) this.#chains.delete(chain);
    return describe(hosted);
  }

  list(): HostedStatus[] {
    return [...this.#chains.values()].map(describe);
  }

  /** Stops every chain. */
  async close(): Promise<void> {
    await Promise.all([...this.#chains.keys()].map((chain) => this.stop(chain)));
    this.#server?.close();
  }

  #start({ chain, file, functions }: HostedChain): Hosted {
    const { giveUpAfter, json } = this.#options;
    const supervisor = new Supervisor(file, { functions, json }, giveUpAfter, enginePrivileges);
    const hosted: Hosted = {
      ...{ chain, file, functions, supervisor, state: "starting", folder: null, faults: [] },
      ...{ confirmUntil: null, deadline: undefined, ended: Promise.resolve() },
    };
    this.#chains.set(chain, hosted);
    hosted.ended = this.#watch(hosted);
    return hosted;
  }

  async #watch(hosted: Hosted): Promise<void> {
    const end = await hosted.supervisor.run().catch((error: unknown) => faultsOf(error));
    const refusal = await hosted.supervisor.started.then(
      () => [],
      (error: unknown) => faultsOf(error),
    );
    await hosted.supervisor.close();
    clearTimeout(hosted.deadline);
    if (hosted.state === "stopping") return;
    hosted.state = "failed";
    hosted.faults = typeof end === "number" ? refusal : end;
  }

  #awaitConfirmation(hosted: Hosted, confirmWithinMs: number, fallback: HostedChain | undefined): void {
    const goBack = async () => {
      await this.stop(hosted.chain);
      if (fallback !== undefined) await this.run(fallback);
    };
    hosted.confirmUntil = new Date(Date.now() + confirmWithinMs).toISOString();
    hosted.deadline = setTimeout(() => {
      goBack().catch((error: Error) => process.stderr.write(`${error.message}\n`));
    }, confirmWithinMs);
  }

  #require(chain: string): Hosted {
    const hosted = this.#chains.get(chain);
    if (hosted !== undefined) return hosted;
    throw new SluiceError({ code: "not-running", where: chain, what: "the host does not run it" });
  }
}

function describe({ supervisor, ended, deadline, ...hosted }: Hosted): HostedStatus {
  return { ...hosted, enginePid: supervisor.enginePid };
}

function faultsOf(error: unknown): readonly Fault[] {
  if (error instanceof SluiceError) return error.faults;
  return [{ code: "internal", where: "engine", what: (error as Error).message }];
}

/** The process that is the host on this machine's state folder. A socket that nobody listens on was left by one that was killed. */
export async function findHost(): Promise<number | null> {
  if (!existsSync(hostSocket())) return null;
  return askHost({ step: "identify" }).then(
    ({ pid }) => pid,
    () => null,
  );
}
