// One request for every operation of the API that is sound, for a chain and a token of these names.
import { makeKeyPair } from "../../runtime/function/signature.ts";
import type { OperationRequest } from "./api-description.ts";

export interface Named {
  readonly chain: string;
  /** The chain's document. */
  readonly document: object;
}

const revision = "1";
const used = { name: "sound", version: "1.0.0" };
/** Of no private key that anybody has kept. */
const PUBLIC_KEY = makeKeyPair().publicKey;

export function soundRequests({ chain, document }: Named): Readonly<Record<string, OperationRequest>> {
  const path = { name: chain };
  return {
    listChains: {},
    putChains: { body: { chains: [document] } },
    getChain: { path },
    deleteChain: { path },
    putChain: { path, body: document },
    confirmChain: { path },
    rollbackChain: { path },
    listRevisions: { path },
    getRevision: { path: { ...path, revision } },
    getUpgrade: { path },
    loadUpgrade: { path, body: { document } },
    getUpgradeHistory: { path },
    switchoverUpgrade: { path },
    commitUpgrade: { path },
    abortUpgrade: { path },
    getStats: { path, query: "interval=0.1" },
    getFlows: { path },
    getAlerts: { path },
    listPorts: {},
    getTrace: { path, query: "seconds=0.2" },
    traceFrames: { path, body: { seconds: 0.2 } },
    getCapture: { path, query: "seconds=0.2" },
    listFunctions: {},
    getFunction: { path: used },
    putFunction: { path: used, headers: { "content-type": "application/x-tar" }, body: "no package" },
    deleteFunction: { path: used },
    listKeys: {},
    getKey: { path: { name: "signer" } },
    putKey: { path: { name: "signer" }, body: { key: PUBLIC_KEY } },
    deleteKey: { path: { name: "signer" } },
    getHealth: {},
    getReadiness: {},
    getMetrics: {},
    listTokens: {},
    createToken: { path: { name: "made" }, body: { role: "viewer" } },
    revokeToken: { path: { name: "made" } },
    listAudit: {},
    getBackup: {},
    restoreBackup: { headers: { "content-type": "application/vnd.sqlite3" }, body: "no backup" },
    getDescription: {},
  };
}

/** On devices of those names; what it lets pass is counted by `count`. */
export function wireDocument(chain: string, a: string, b: string, more: object = {}): object {
  return {
    chain,
    ports: { a: { device: a }, b: { device: b } },
    functions: { count: { use: "hello@*" } },
    paths: [
      { from: "a", through: ["count"], to: "b" },
      { from: "b", through: ["count"], to: "a" },
    ],
    ...more,
  };
}

/** Where there is nobody: what comes from the loopback device is consumed. */
export function tapDocument(chain: string, more: object = {}): object {
  return {
    chain,
    ports: { tap: { device: "lo" } },
    functions: { count: { use: "hello@*" } },
    paths: [{ from: "tap", through: ["count"], to: "none" }],
    ...more,
  };
}
