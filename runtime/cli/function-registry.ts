// sluice function push, list, inspect, delete: the registry of a box.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import type { Command } from "commander";
import { controlSocket } from "../control/control-socket.ts";
import type { KnownFunction } from "../control/known-functions.ts";
import { SluiceError } from "../errors.ts";
import { buildFunction } from "../function/build.ts";
import { openCatalog } from "../function/catalog.ts";
import { readPrivateKeyFile } from "../function/key-files.ts";
import { type Manifest, validateManifest } from "../function/manifest.ts";
import { type PackedFunction, readPackage, writePackage } from "../function/package-archive.ts";
import { signPackage } from "../function/signature.ts";
import type { FunctionCheck } from "../testing/function-check.ts";
import { ApiClient, addServerOptions, type ServerOptions } from "./api-client.ts";
import { addFormat, type FormatOptions, printAs } from "./format.ts";
import { printLine, printTable } from "./output.ts";
import { withProgress } from "./progress.ts";

type Options = ServerOptions & FormatOptions;
type ListOptions = Options & { readonly functions?: readonly string[] };
type Details = KnownFunction & { readonly manifest: Manifest };

export function registerFunctionRegistry(command: Command): void {
  const add = (each: Command) => addServerOptions(addFormat(each));
  add(command.command("push").description("upload a package, which is checked, tried and measured there"))
    .argument("<package>", "NAME-VERSION.tar, or a function's folder, which is built for that")
    .option("--sign <key>", "sign it with this private key (PEM)")
    .action(push);
  add(
    command
      .command("list")
      .description("list what chains can use: built-in functions, and the registry's if control runs"),
  )
    .option("--functions <dir...>", "only the built-in functions and those in this folder")
    .action(list);
  add(command.command("inspect").description("show a function: who signed it, what it costs, which chains use it"))
    .argument("<name@version>")
    .action(inspect);
  add(command.command("delete").description("take a version out of the registry, unless a chain uses it"))
    .argument("<name@version>")
    .action(remove);
}

async function push(from: string, options: Options & { readonly sign?: string }): Promise<void> {
  const found = await readFrom(from);
  const key = options.sign === undefined ? undefined : readPrivateKeyFile(options.sign);
  const packed = key === undefined ? found : { ...found, signature: signPackage(found, key) };
  const { name, version } = validateManifest(packed.manifestText, `${from}/manifest.json`);
  const headers = { "content-type": "application/x-tar" };
  const body = writePackage(packed);
  const sent = new ApiClient(options).open(addressOf(name, version), { method: "PUT", headers, body });
  const response = await withProgress(`${name}@${version} is tried`, sent);
  const pushed = { ...((await json(response)) as Details), created: response.statusCode === 201 };
  printAs(options, pushed, () => {
    printLine(`${name}@${version} ${pushed.created ? "admitted" : "was there already"}`);
    printDetails(pushed);
  });
}

async function readFrom(from: string): Promise<PackedFunction> {
  if (!existsSync(from)) {
    throw new SluiceError({ code: "file-unreadable", where: from, what: "there is no such file or folder" });
  }
  if (!statSync(from).isDirectory()) return readPackage(readFileSync(from), from);
  if (!existsSync(join(from, "index.ts"))) return readFolder(from);
  const folder = mkdtempSync(join(tmpdir(), "sluice-push-"));
  try {
    await buildFunction(from, folder);
    return readFolder(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readFolder(folder: string): PackedFunction {
  const read = (name: string) => {
    try {
      return readFileSync(join(folder, name));
    } catch (error) {
      throw new SluiceError({ code: "file-unreadable", where: join(folder, name), what: (error as Error).message });
    }
  };
  return { manifestText: read("manifest.json").toString("utf8"), wasm: read("function.wasm") };
}

async function list(options: ListOptions): Promise<void> {
  const isLocal = options.functions !== undefined || !hasApi(options);
  const found = isLocal ? listLocal(options.functions ?? []) : await listRemote(options);
  printAs(options, found, () => {
    const rows = found.map(({ name, version, origin, description }) => [name, version, origin, description]);
    printTable(["function", "version", "origin", "description"], rows);
  });
}

/** Without one, a chain has what is built in. */
function hasApi({ server = process.env.SLUICE_SERVER }: ServerOptions): boolean {
  return server !== undefined || existsSync(controlSocket());
}

function listRemote(options: Options): Promise<KnownFunction[]> {
  return new ApiClient(options).call<KnownFunction[]>("/api/v1/functions");
}

function listLocal(folders: readonly string[]) {
  return openCatalog({ folders })
    .packages.toSorted((a, b) => a.manifest.name.localeCompare(b.manifest.name))
    .map(({ manifest: { name, version, frames, description }, origin }) => ({
      ...{ name, version, frames, description, origin },
    }));
}

async function inspect(reference: string, options: Options): Promise<void> {
  const found = await new ApiClient(options).call<Details>(readAddress(reference));
  printAs(options, found, () => {
    printLine(`${found.name}@${found.version}: ${found.description}`);
    printDetails(found);
  });
}

function printDetails({ origin, digest, signedBy, measured, usedBy, manifest, at }: Details): void {
  const check = measured as FunctionCheck | null;
  printLine(`  origin    ${origin}${at === null ? "" : `, since ${at}`}`);
  printLine(`  digest    ${digest ?? "none: it is not built"}`);
  printLine(`  signed    ${signedBy === null ? "by nobody" : `by ${signedBy}`}`);
  printLine(`  frames    ${manifest.frames}, memory ${manifest.memoryPages * 64} KiB, ABI ${manifest.abi}`);
  if (check !== null) printLine(`  smoke run ${check.smoke}${check.frames === 0 ? "" : `, ${check.frames} frames`}`);
  if (check?.cost != null) {
    const { nsPerPacket, batch, frameBytes } = check.cost;
    printLine(`  cost      ${nsPerPacket.toFixed(1)} ns per packet of ${frameBytes} bytes, at batches of ${batch}`);
  }
  printLine(`  used by   ${usedBy.length === 0 ? "no chain" : usedBy.join(", ")}`);
}

async function remove(reference: string, options: Options): Promise<void> {
  const answer: IncomingMessage = await new ApiClient(options).open(readAddress(reference), { method: "DELETE" });
  answer.resume();
  printAs(options, { function: reference, deleted: true }, () => printLine(`${reference} deleted`));
}

function readAddress(reference: string): string {
  const [, name, version] = /^([^@]+)@(.+)$/.exec(reference) ?? [];
  if (name !== undefined && version !== undefined) return addressOf(name, version);
  throw new SluiceError({ code: "usage", where: reference, what: "is not NAME@VERSION" });
}

function addressOf(name: string, version: string): string {
  return `/api/v1/functions/${encodeURIComponent(name)}/${encodeURIComponent(version)}`;
}
