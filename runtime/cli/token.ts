// sluice token: who may use the API.
import type { Command } from "commander";
import { roles } from "../control/roles.ts";
import type { Token } from "../control/tokens.ts";
import { ApiClient, addServerOptions, type ServerOptions } from "./api-client.ts";
import { addFormat, type FormatOptions, printAs } from "./format.ts";
import { printLine, printTable } from "./output.ts";

type Options = ServerOptions & FormatOptions;

export function registerToken(program: Command): void {
  const token = program.command("token").description("make and revoke tokens for the API");
  const add = (command: Command) => addServerOptions(addFormat(command));
  add(token.command("create").description("make a token, and print it: nobody can see it again"))
    .argument("<name>")
    .requiredOption("--role <role>", roles.join(", "))
    .action(create);
  add(token.command("list").description("show the names of all tokens, and their roles")).action(list);
  add(token.command("revoke").description("make a token worthless")).argument("<name>").action(revoke);
}

async function create(name: string, options: Options & { readonly role: string }): Promise<void> {
  const path = `/api/v1/tokens/${encodeURIComponent(name)}`;
  const made = await new ApiClient(options).call<{ token: string }>(path, {
    method: "PUT",
    body: { role: options.role },
  });
  printAs(options, made, () => printLine(made.token));
}

async function list(options: Options): Promise<void> {
  const tokens = await new ApiClient(options).call<Token[]>("/api/v1/tokens");
  printAs(options, tokens, () => {
    printTable(
      ["token", "role", "since"],
      tokens.map(({ name, role, at }) => [name, role, at]),
    );
  });
}

async function revoke(name: string, options: Options): Promise<void> {
  await new ApiClient(options).call(`/api/v1/tokens/${encodeURIComponent(name)}`, { method: "DELETE" });
  printAs(options, { name, revoked: true }, () => printLine(`${name} revoked`));
}
