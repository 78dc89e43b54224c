// What a client of the observe socket sends.
import type { CaptureRequest, TraceRequest } from "../dataplane/observe/requests.ts";

/** In the chain's state folder. */
export const OBSERVE_SOCKET = "observe.sock";

export type Question =
  | { readonly ask: "trace"; readonly request: TraceRequest }
  | { readonly ask: "capture"; readonly request: CaptureRequest };
