// A native program that answers each line of its input with a line of JSON.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { nativeProgram } from "./afxdp.ts";

export class LineProgram {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(name: string) {
    this.#child = spawn(nativeProgram(name), { stdio: ["pipe", "pipe", "inherit"] });
    const output = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    this.#lines = output[Symbol.asyncIterator]();
  }

  async ask<Answer>(...words: readonly (string | number | bigint)[]): Promise<Answer> {
    const [answer] = await this.askAll<Answer>([words]);
    return answer as Answer;
  }

  /** Many questions at once, the answers in their order. */
  async askAll<Answer>(questions: readonly (readonly (string | number | bigint)[])[]): Promise<Answer[]> {
    if (questions.length === 0) return [];
    this.#child.stdin?.write(`${questions.map((words) => words.join(" ")).join("\n")}\n`);
    const answers: Answer[] = [];
    for (const words of questions) {
      const { done, value } = await this.#lines.next();
      if (done === true) throw new Error(`the program ended at: ${words.join(" ")}`);
      answers.push(JSON.parse(value) as Answer);
    }
    return answers;
  }

  close(): void {
    this.#child.kill();
  }
}
