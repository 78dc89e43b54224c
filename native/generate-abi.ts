// Writes nfs/sdk/abi.ts, runtime/dataplane/layout.ts and nfs/sdk/classifier/tables.ts as C++ headers:
// `node native/generate-abi.ts FOLDER`.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as abi from "../nfs/sdk/abi.ts";
import * as aclTables from "../nfs/sdk/classifier/tables.ts";
import * as layout from "../runtime/dataplane/layout.ts";

type Constants = Record<string, number | readonly string[]>;

const camel = (name: string) =>
  name
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[_-]/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");

function lines([name, value]: [string, number | readonly string[]]): string[] {
  if (typeof value === "number") return [`inline constexpr uint32_t k${camel(name)} = ${value};`];
  return [
    ...value.map((entry, index) => `inline constexpr uint32_t k${camel(name)}${camel(entry)} = ${index};`),
    `inline constexpr uint32_t k${camel(name)}Count = ${value.length};`,
  ];
}

function header(source: string, namespace: string, constants: Constants): string {
  const body = Object.entries(constants).flatMap(lines).join("\n");
  return `// Generated from ${source}.\n#pragma once\n#include <cstdint>\n\nnamespace sluice::${namespace} {\n${body}\n}  // namespace sluice::${namespace}\n`;
}

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: generate-abi.ts FOLDER");
writeFileSync(join(folder, "abi.h"), header("nfs/sdk/abi.ts", "abi", abi));
writeFileSync(join(folder, "layout.h"), header("runtime/dataplane/layout.ts", "layout", layout as Constants));
writeFileSync(join(folder, "acl_tables.h"), header("nfs/sdk/classifier/tables.ts", "acl", aclTables));
