// The control process, whole: store, planner, API. It sees no packet, and packets do not need it.
import { chmodSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type Server } from "node:http";
import type { Server as SecureServer } from "node:https";
import { pino } from "pino";
import { ensureStateRoot } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import { Catalog, type FunctionPackage, openCatalog } from "../function/catalog.ts";
import { dataRoot } from "../generation/history.ts";
import { Audit } from "./audit.ts";
import { Backup } from "./backup.ts";
import { answerBrokenRequests } from "./broken-requests.ts";
import { Certificates } from "./certificates.ts";
import { ChainView } from "./chain-view.ts";
import { Chains } from "./chains.ts";
import { controlSocket } from "./control-socket.ts";
import { Convergence } from "./convergence.ts";
import { Database } from "./database.ts";
import { KnownFunctions } from "./known-functions.ts";
import { Packages } from "./packages.ts";
import { Registry, type RegistrySetup } from "./registry.ts";
import { Revisions } from "./revisions.ts";
import { addBackupRoutes } from "./routes/backup.ts";
import { addChainRoutes } from "./routes/chains.ts";
import { addFunctionRoutes } from "./routes/functions.ts";
import { addKeyRoutes } from "./routes/keys.ts";
import { addLiveRoutes } from "./routes/live.ts";
import { addPacketRoutes } from "./routes/packets.ts";
import { addSystemRoutes } from "./routes/system.ts";
import { addUpgradeRoutes } from "./routes/upgrade.ts";
import { type Api, createServer, type TlsOptions } from "./server.ts";
import { Settlement } from "./settlement.ts";
import { Telemetry } from "./telemetry.ts";
import { readTls, type TlsFiles } from "./tls.ts";
import { Tokens } from "./tokens.ts";
import { TrustedKeys } from "./trusted-keys.ts";

export interface ControlOptions extends TlsFiles {
  /** ADDRESS:PORT, [ADDRESS]:PORT. */
  readonly listen: string;
  /** Without it, an address that cannot be had is a warning: commands on the box still work. */
  readonly listenOrFail: boolean;
  readonly logLevel: string;
  readonly requestsPerSecond: number;
  /** Live streams of one token, and entries of the audit. */
  readonly streams: number;
  readonly auditEntries: number;
  readonly version: string;
  /** Packages that nobody signed are admitted, too. */
  readonly allowUnsigned?: boolean | undefined;
}

/** A chain that is named on the command line, with the packages that it was planned with. */
export interface NamedChain {
  readonly chain: string;
  readonly text: string;
  readonly packages: readonly FunctionPackage[];
  /** Folders of other functions; absolute. */
  readonly functions: readonly string[];
}

export interface Control {
  /** Where the API is (null if only on the box), and the file that holds a token for it. */
  readonly address: string | null;
  readonly tokenFile: string;
  close(): Promise<void>;
}

/** Throws control-running, store-failed, usage, system-call (the address) …; nothing is left behind then. */
export async function startControl(
  options: ControlOptions,
  named: readonly NamedChain[] = [],
  isFirst = true,
): Promise<Control> {
  const root = dataRoot();
  const logger = pino({ level: options.logLevel, redact: ["req.headers.authorization"] }, pino.destination(2));
  const { host, port } = readAddress(options.listen);
  const tls = readTls(options, root);
  const database = new Database(root);
  const undo: (() => unknown)[] = [() => database.close()];
  try {
    const revisions = new Revisions(database);
    const packages = new Packages(database);
    const tokens = new Tokens(database);
    const audit = new Audit(database, options.auditEntries);
    const tokenFile = tokens.ensureFirst(root);
    const settlement = new Settlement(revisions, packages);
    const openWhole = () => openStoredCatalog(packages);
    const foldersOf = (chain: string) => named.find((each) => each.chain === chain)?.functions ?? [];
    const chains = new Chains({ revisions, packages, settlement, openCatalog: openWhole, foldersOf });
    const names = new Set(named.map(({ chain }) => chain));
    const report = (text: string) => logger.warn(text);
    const documentOf = (chain: string) => revisions.confirmed(chain)?.pinned;
    const telemetry = new Telemetry({ version: options.version, documentOf, complain: report });
    undo.push(() => telemetry.close());
    const onLook = () => telemetry.sync();
    const convergence = new Convergence({ revisions, settlement, chains, named: names, report, onLook });
    const view = new ChainView(revisions, settlement, (chain) => convergence.problemsOf(chain));
    const app = await createServer({ ...options, tokens, audit, logger, tls });
    addChainRoutes(app, { chains, revisions, view, settlement });
    addUpgradeRoutes(app, chains);
    addLiveRoutes(app, telemetry);
    addPacketRoutes(app);
    addRegistry(app, { database, packages, revisions, chains }, options.allowUnsigned === true);
    addSystemRoutes(app, {
      tokens,
      audit,
      isReady: () => convergence.isReady,
      renderMetrics: () => telemetry.render(),
    });
    addBackupRoutes(app, { backup: new Backup(database, tokens, root), chains, revisions, settlement });
    undo.push(() => app.close());
    if (tls !== null) undo.push(keepCertificates(app, options, root, report));
    const listening = await listen(app, host, port).catch((error: SluiceError) => {
      if (options.listenOrFail) throw error;
      logger.warn(error.message);
      return app.ready();
    });
    const local = await listenLocally(app);
    undo.push(() => closeServer(local));
    await convergence.recover();
    if (isFirst) await applyNamed(named, chains);
    await convergence.start();
    undo.push(() => convergence.stop());
    const address = listening === undefined ? addressOf(app, tls !== null) : null;
    return { address, tokenFile, close: () => unwind(undo) };
  } catch (error) {
    await unwind(undo);
    throw error;
  }
}

function keepCertificates(app: Api, options: TlsFiles, root: string, report: (text: string) => void): () => void {
  const server = app.server as unknown as SecureServer;
  const use = ({ cert, key, clientCa }: TlsOptions) => server.setSecureContext({ cert, key, ca: clientCa });
  const certificates = new Certificates({ options, root, report, use });
  return () => certificates.close();
}

interface RegistryParts extends Pick<RegistrySetup, "packages" | "revisions" | "chains"> {
  readonly database: Database;
}

function addRegistry(app: Api, { database, ...parts }: RegistryParts, allowUnsigned: boolean): void {
  const keys = new TrustedKeys(database);
  const known = new KnownFunctions(parts.packages, parts.revisions);
  addFunctionRoutes(app, { known, registry: new Registry({ ...parts, known, keys, allowUnsigned }) });
  addKeyRoutes(app, keys);
}

async function unwind(undo: readonly (() => unknown)[]): Promise<void> {
  for (const step of undo.toReversed()) await step();
}

/** Built-in functions and those that were uploaded, which win between equal versions. */
function openStoredCatalog(packages: Packages): Catalog {
  return new Catalog([...packages.registered().map((stored) => packages.open(stored)), ...openCatalog().packages]);
}

/** What the operator of the box names at the start is declared like anything else, with the packages that it came with. */
async function applyNamed(named: readonly NamedChain[], chains: Chains): Promise<void> {
  for (const { chain, text, packages } of named) {
    const options = { cold: true, restart: true, origin: "file", catalog: new Catalog(packages) } as const;
    await chains.apply([{ chain, text, where: chain }], options, "command line");
  }
}

function closeServer(server: Server): void {
  server.close();
  server.closeAllConnections();
}

async function listen(app: Api, host: string, port: number): Promise<undefined> {
  try {
    await app.listen({ host, port });
    return undefined;
  } catch (error) {
    const help = "choose another address with --listen";
    throw new SluiceError({ code: "system-call", where: `${host}:${port}`, what: (error as Error).message, help });
  }
}

/** The same API for commands on the box, whatever network namespace they run in; never encrypted. */
async function listenLocally(app: Api): Promise<Server> {
  ensureStateRoot();
  const file = controlSocket();
  rmSync(file, { force: true });
  const server = createHttpServer((request, response) => app.routing(request, response));
  answerBrokenRequests(server, app);
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(file, resolve));
  chmodSync(file, 0o600);
  return server;
}

function readAddress(text: string): { host: string; port: number } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(port) <= 65535) return { host, port: Number(port) };
  throw new SluiceError({ code: "usage", where: "--listen", what: `"${text}" is not ADDRESS:PORT` });
}

function addressOf(app: Api, isSecure: boolean): string {
  const [{ address, family, port }] = app.addresses() as [{ address: string; family: string; port: number }];
  const host = family === "IPv6" ? `[${address}]` : address;
  return `${isSecure ? "https" : "http"}://${host}:${port}`;
}
