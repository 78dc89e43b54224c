// How the control process talks to the host: the process that starts engines, one per chain, and starts them again.
import { join } from "node:path";
import { stateRoot } from "../dataplane/state-folder.ts";
import type { Fault } from "../errors.ts";
import { ask, LineServer } from "./line-socket.ts";

const SOCKET = "host.sock";

/** What an engine is to run: absolute paths of the document and of the packages that it names. */
export interface HostedChain {
  readonly chain: string;
  readonly file: string;
  readonly functions: readonly string[];
}

/**
 * Answers when the chain runs. Without `confirm` within the time it is stopped again, and `fallback` runs in its place,
 * whether whoever asked is there or not.
 */
export interface RunRequest extends HostedChain {
  readonly confirmWithinMs?: number | undefined;
  readonly fallback?: HostedChain | undefined;
}

export type HostRequest =
  | ({ readonly step: "run" } & RunRequest)
  | { readonly step: "confirm"; readonly chain: string }
  /** Answers when its devices are released. */
  | { readonly step: "stop"; readonly chain: string }
  | { readonly step: "list" }
  /** Which process it is. */
  | { readonly step: "identify" };

export interface HostedStatus extends HostedChain {
  readonly state: "starting" | "running" | "stopping" | "failed";
  /** Its state folder; null before it runs. */
  readonly folder: string | null;
  readonly enginePid: number;
  /** ISO 8601; null if it need not be confirmed. */
  readonly confirmUntil: string | null;
  /** Why it failed. */
  readonly faults: readonly Fault[];
}

export interface Host {
  run(request: RunRequest): Promise<HostedStatus>;
  confirm(chain: string): HostedStatus;
  stop(chain: string): Promise<HostedStatus>;
  list(): HostedStatus[];
}

export interface HostIdentity {
  readonly pid: number;
}

export function hostSocket(): string {
  return join(stateRoot(), SOCKET);
}

export function listenAsHost(host: Host): Promise<LineServer<HostRequest>> {
  return LineServer.listen(hostSocket(), async (request: HostRequest) => {
    switch (request.step) {
      case "run":
        return host.run(request);
      case "confirm":
        return host.confirm(request.chain);
      case "stop":
        return host.stop(request.chain);
      case "identify":
        return { pid: process.pid } satisfies HostIdentity;
      default:
        return host.list();
    }
  });
}

type Answer<Step> = Step extends "list" ? HostedStatus[] : Step extends "identify" ? HostIdentity : HostedStatus;

/** Throws what the host says, or not-running. */
export function askHost<Request extends HostRequest>(request: Request): Promise<Answer<Request["step"]>> {
  return ask(hostSocket(), request);
}
