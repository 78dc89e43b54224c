// Keeps what there is of faults as bundles, and tells the operator where.
import { join } from "node:path";
import { BundleFolder } from "../dataplane/faults/bundle-folder.ts";
import { dataRoot } from "../generation/history.ts";
import { printError } from "./output.ts";

type Fault = Parameters<BundleFolder["keep"]>;

export class FaultBundles {
  readonly #folder: BundleFolder;
  readonly #json: boolean;
  #all: Promise<unknown> = Promise.resolve();

  constructor(chain: string, json: boolean) {
    this.#folder = new BundleFolder(join(dataRoot(), "faults", chain));
    this.#json = json;
  }

  /** Whatever goes wrong with it, the chain goes on. */
  keep(...fault: Fault): void {
    const kept = this.#folder.keep(...fault).then((file) => this.#print(file, ...fault), printError);
    this.#all = Promise.all([this.#all, kept]);
  }

  /** When all is written and told. */
  async settled(): Promise<void> {
    await this.#all;
  }

  #print(bundle: string, ...[{ function: index, kind, message, source }, { plan, generation }]: Fault): void {
    const { name, package: from } = plan.functions[index] as (typeof plan.functions)[number];
    const of = `${from.name}@${from.version}`;
    process.stderr.write(`bundle ${name} (${of}) ${message}: sluice replay ${bundle}\n`);
    if (!this.#json) return;
    const line = { state: "fault", function: name, package: of, generation, kind, message, source, bundle };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
}
