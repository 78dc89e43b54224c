// sluice function keygen, sign, trust, distrust, keys: who vouches for packages, and whose word counts.
import type { Command } from "commander";
import type { TrustedKey } from "../control/trusted-keys.ts";
import { signTar } from "../function/build.ts";
import { readPrivateKeyFile, readPublicKeyFile, writeKeyPair } from "../function/key-files.ts";
import { ApiClient, addServerOptions, type ServerOptions } from "./api-client.ts";
import { addFormat, type FormatOptions, printAs } from "./format.ts";
import { printLine, printTable } from "./output.ts";

type Options = ServerOptions & FormatOptions;

export function registerFunctionKeys(command: Command): void {
  const add = (each: Command) => addServerOptions(addFormat(each));
  addFormat(command.command("keygen").description("make a key pair to sign packages with: FILE and FILE.pub"))
    .argument("<file>")
    .action(keygen);
  addFormat(command.command("sign").description("sign a package"))
    .argument("<tar>", "NAME-VERSION.tar")
    .requiredOption("--key <file>", "the private key (PEM)")
    .action(sign);
  add(command.command("trust").description("admit packages that this key signed"))
    .argument("<name>", "what the key is called from now on")
    .argument("<file>", "the public key (PEM)")
    .action(trust);
  add(command.command("distrust").description("admit no more packages of a key; those that are there stay"))
    .argument("<name>")
    .action(distrust);
  add(command.command("keys").description("list the keys whose packages are admitted")).action(list);
}

function keygen(file: string, options: FormatOptions): void {
  const made = writeKeyPair(file);
  printAs(options, made, () => printLine(`made ${made.privateFile} (keep it secret) and ${made.publicFile}`));
}

function sign(tar: string, options: FormatOptions & { readonly key: string }): void {
  signTar(tar, readPrivateKeyFile(options.key));
  printAs(options, { package: tar, signed: true }, () => printLine(`${tar} signed`));
}

async function trust(name: string, file: string, options: Options): Promise<void> {
  const body = { key: readPublicKeyFile(file) };
  const trusted = await new ApiClient(options).call<TrustedKey>(addressOf(name), { method: "PUT", body });
  printAs(options, trusted, () => printLine(`${name} is trusted`));
}

async function distrust(name: string, options: Options): Promise<void> {
  await new ApiClient(options).call(addressOf(name), { method: "DELETE" });
  printAs(options, { name, trusted: false }, () => printLine(`${name} is not trusted any more`));
}

async function list(options: Options): Promise<void> {
  const keys = await new ApiClient(options).call<TrustedKey[]>("/api/v1/keys");
  printAs(options, keys, () => {
    printTable(
      ["key", "since"],
      keys.map(({ name, at }) => [name, at]),
    );
  });
}

function addressOf(name: string): string {
  return `/api/v1/keys/${encodeURIComponent(name)}`;
}
