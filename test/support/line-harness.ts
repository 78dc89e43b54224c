// A native harness that answers each line with one line of JSON.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const buildFolder = process.env.SLUICE_NATIVE_BUILD ?? fileURLToPath(new URL("../../build/native/", import.meta.url));

export class LineHarness {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  #complaint = "";

  /** `name` is a program of the native build. */
  constructor(name: string) {
    this.#child = spawn(`${buildFolder}/${name}`);
    this.#child.stderr.on("data", (text) => {
      this.#complaint += text;
    });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async ask(line: string): Promise<unknown> {
    return (await this.askAll([line]))[0];
  }

  /** Throws what the program wrote to stderr if it ends before it has answered. */
  async askAll(lines: readonly string[]): Promise<unknown[]> {
    this.#child.stdin.write(lines.map((line) => `${line}\n`).join(""));
    const answers: unknown[] = [];
    for (const line of lines) {
      const { value, done } = await this.#answers.next();
      if (done) throw new Error(`no answer to "${line}": ${this.#complaint}`);
      answers.push(JSON.parse(value));
    }
    return answers;
  }

  /** Throws if the program does not end well: a sanitizer found something. */
  async close(): Promise<void> {
    this.#child.stdin.end();
    const [status] = this.#child.exitCode === null ? await once(this.#child, "close") : [this.#child.exitCode];
    if (status !== 0) throw new Error(`ended with status ${status}: ${this.#complaint}`);
  }
}
