// `sluice function new`: a working package, small enough to be read whole.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { ABI_VERSION } from "../../nfs/sdk/abi.ts";
import { SluiceError } from "../errors.ts";
import { projectRoot } from "./compile.ts";

const namePattern = /^[a-z][a-z0-9-]{0,62}$/;

/** Makes `into`/`name` with its files and returns its path. Throws usage if the name is none or the folder exists. */
export function newFunction(name: string, into: string): string {
  const folder = resolve(into, name);
  if (!namePattern.test(name)) {
    const help = "a letter, then letters, digits and '-', all lower case, at most 63";
    throw new SluiceError({ code: "usage", where: name, what: "is not a function's name", help });
  }
  if (existsSync(folder)) throw new SluiceError({ code: "usage", where: folder, what: "exists already" });
  try {
    for (const [file, text] of Object.entries(templates(name, folder))) {
      const path = join(folder, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text, { flag: "wx" });
    }
  } catch (error) {
    throw new SluiceError({ code: "file-unwritable", where: folder, what: (error as Error).message });
  }
  return folder;
}

/** Path → text. Functions outside this repository are told by a tsconfig.json where `sluice/…` is. */
function templates(name: string, folder: string): Readonly<Record<string, string>> {
  const builtIn = dirname(folder) === join(projectRoot, "nfs");
  const sdk = builtIn ? "../sdk" : "sluice/sdk";
  const testing = builtIn ? "../../../runtime/testing/index.ts" : "sluice/testing";
  const own = {
    "index.ts": source(name, sdk),
    "manifest.json": manifest(name),
    "README.md": readme(name),
    [`test/${name}.test.ts`]: test(name, testing),
  };
  return builtIn
    ? own
    : { ...own, "tsconfig.json": functionProject(folder), "test/tsconfig.json": testProject(folder) };
}

function source(name: string, sdk: string): string {
  return `// ${name}: drops malformed packets, counts the others and lets them go their way.

import { batch, Config, Counter, Reason } from "${sdk}";
export { nf_abi } from "${sdk}/exports";

const passed = new Counter("passed");
const malformed = new Reason("malformed");
let strict = true;

/** Called once, before the first packet. The only time to allocate, to declare and to complain. */
export function nf_configure(json: string): bool {
  const config = Config.parse(json);
  strict = config.flagOr("strict", true);
  return config.accepted();
}

/** Called once per batch. Packets without a verdict go to the next hop. */
export function nf_process(): void {
  for (let i = 0; i < batch.count; i++) {
    const packet = batch.packet(i);
    if (strict && packet.malformed != 0) packet.drop(malformed);
    else passed.add();
  }
}
`;
}

function manifest(name: string): string {
  const content = {
    name,
    version: "0.1.0",
    abi: ABI_VERSION,
    description: "Drops malformed packets and counts the others",
    frames: "none",
    memoryPages: 4,
    config: {
      type: "object",
      additionalProperties: false,
      properties: { strict: { type: "boolean", default: true, description: "Whether malformed packets are dropped." } },
    },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

function readme(name: string): string {
  return `# ${name}

Drops malformed packets, counts the others and lets them go their way.

| configuration | default | |
| --- | --- | --- |
| \`strict\` | \`true\` | Whether malformed packets are dropped |

| counter | |
| --- | --- |
| \`passed\` | Packets that went on |

| drop reason | |
| --- | --- |
| \`malformed\` | The host's parser found a header damaged or cut |

\`\`\`
sluice function test     # runs test/ on the real host
sluice function build    # makes build/function.wasm and build/${name}-0.1.0.tar
\`\`\`
`;
}

function test(name: string, testing: string): string {
  return `import { openFunction } from "${testing}";
import { describe, expect, it } from "vitest";

const folder = \`\${import.meta.dirname}/..\`;
const packet = "udp 10.0.0.1:5000 > 10.0.0.2:53";
/** Ends within its Ethernet header. */
const runt = "raw 020000000001020000";

describe("${name}", () => {
  it("lets packets go their way and counts them", async () => {
    const fn = await openFunction(folder);
    expect(fn.process([packet, packet])).toEqual([\`next \${packet}\`, \`next \${packet}\`]);
    expect(fn.counters()).toEqual({ passed: 2 });
    fn.close();
  });

  it("drops malformed packets unless it is told otherwise", async () => {
    const strict = await openFunction(folder);
    expect(strict.process(runt)).toEqual(["drop malformed"]);
    strict.close();
    const tolerant = await openFunction(folder, { config: { strict: false } });
    expect(tolerant.process(runt)).toEqual([\`next \${runt}\`]);
    tolerant.close();
  });
});
`;
}

/** For editors: AssemblyScript's types, and the SDK. */
function functionProject(folder: string): string {
  const root = relative(folder, projectRoot);
  return json({
    extends: `${root}/node_modules/assemblyscript/std/assembly.json`,
    compilerOptions: { paths: { "sluice/sdk": [`${root}/nfs/sdk/index.ts`], "sluice/sdk/*": [`${root}/nfs/sdk/*`] } },
    include: ["*.ts"],
  });
}

/** For editors: the tests are ordinary TypeScript. */
function testProject(folder: string): string {
  const root = relative(join(folder, "test"), projectRoot);
  const paths = { "sluice/testing": [`${root}/runtime/testing/index.ts`], vitest: [`${root}/node_modules/vitest`] };
  const types = { typeRoots: [`${root}/node_modules/@types`], types: ["node"] };
  return json({ extends: `${root}/tsconfig.json`, compilerOptions: { paths, ...types }, include: ["*.ts"] });
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
