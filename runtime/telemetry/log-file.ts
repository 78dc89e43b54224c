// A log that others rotate and that may have no room: lines are appended, the file is opened again when it is moved away,
// and what cannot be written is lost, counted, and complained of once until it works again. Nobody waits for it.
import { closeSync, constants, fstatSync, openSync, statSync, write } from "node:fs";

/** Characters that wait for the disk. */
const BUFFERED = 4 << 20;
const PIECE_CHARACTERS = 1 << 20;
/** A pipe that nobody reads is no reason to wait, either. */
const OPEN_FLAGS =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOFOLLOW;

export class LogFile {
  readonly path: string;
  readonly #complain: (what: string) => void;
  #descriptor: number | undefined;
  #inode = 0;
  #waiting: string[] = [];
  #characters = 0;
  #writing: Promise<void> | undefined;
  #written = 0;
  #lost = 0;
  #isBroken = false;
  /** The file ends within a line. */
  #isTorn = false;

  /** `complain` is told why lines are lost: once, until some were written again. */
  constructor(path: string, complain: (what: string) => void) {
    this.path = path;
    this.#complain = complain;
  }

  get written(): number {
    return this.#written;
  }

  get lost(): number {
    return this.#lost;
  }

  /** `line` ends with a newline. */
  add(line: string): void {
    if (this.#characters + line.length > BUFFERED) this.#lost += 1;
    else {
      this.#waiting.push(line);
      this.#characters += line.length;
    }
  }

  /** Begins to write what waits; whoever wants to can wait until that is done. */
  flush(): Promise<void> {
    this.#writing ??= this.#writeWaiting().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.flush();
    this.#shut();
  }

  async #writeWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#takeLines();
      let descriptor: number;
      try {
        descriptor = this.#open();
      } catch (error) {
        this.#lose(lines.length, error as Error);
        continue;
      }
      await this.#writeLines(descriptor, lines);
    }
  }

  async #writeLines(descriptor: number, lines: readonly string[]): Promise<void> {
    // What is left of a line that was cut short ends there.
    const bytes = Buffer.from((this.#isTorn ? "\n" : "") + lines.join(""));
    const { done, error } = await writeAll(descriptor, bytes);
    const written = error === null ? lines.length : countLines(bytes.subarray(this.#isTorn ? 1 : 0, done));
    if (done > 0) this.#isTorn = bytes[done - 1] !== NEWLINE;
    this.#written += written;
    if (error === null) this.#isBroken = false;
    else this.#lose(lines.length - written, error);
  }

  #takeLines(): string[] {
    let count = 0;
    for (let characters = 0; count < this.#waiting.length && characters < PIECE_CHARACTERS; count++) {
      characters += (this.#waiting[count] as string).length;
    }
    const lines = this.#waiting.splice(0, count);
    this.#characters -= lines.reduce((sum, line) => sum + line.length, 0);
    return lines;
  }

  #lose(lines: number, { message }: Error): void {
    this.#lost += lines;
    this.#shut();
    if (!this.#isBroken) this.#complain(`${this.path}: ${message}`);
    this.#isBroken = true;
  }

  /** The file that has the name now. */
  #open(): number {
    if (this.#descriptor !== undefined && this.#isStillThere()) return this.#descriptor;
    this.#shut();
    this.#descriptor = openSync(this.path, OPEN_FLAGS, 0o640);
    const { ino } = fstatSync(this.#descriptor);
    if (ino !== this.#inode) this.#isTorn = false;
    this.#inode = ino;
    return this.#descriptor;
  }

  #isStillThere(): boolean {
    return statSync(this.path, { throwIfNoEntry: false })?.ino === this.#inode;
  }

  #shut(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

const NEWLINE = 0x0a;

function countLines(bytes: Uint8Array): number {
  return bytes.reduce((count, byte) => count + (byte === NEWLINE ? 1 : 0), 0);
}

/** How many bytes were written, and why not all. */
async function writeAll(
  descriptor: number,
  bytes: Buffer,
): Promise<{ readonly done: number; readonly error: Error | null }> {
  for (let done = 0; ; ) {
    if (done === bytes.length) return { done, error: null };
    const result = await new Promise<{ readonly error: Error | null; readonly count: number }>((resolve) => {
      write(descriptor, bytes, done, bytes.length - done, null, (error, count) => resolve({ error, count }));
    });
    if (result.error !== null) return { done, error: result.error };
    done += result.count;
  }
}
