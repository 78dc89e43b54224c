// A file of lines, written in large pieces.
import { closeSync, openSync, writeSync } from "node:fs";
import { SluiceError } from "../errors.ts";

const PIECE_CHARACTERS = 1 << 16;

export class LineFile {
  readonly #name: string;
  readonly #descriptor: number;
  #pending = "";

  /** Creates or empties the file. Throws file-unwritable, as do the other functions, with `name` for the file. */
  constructor(path: string, name = path) {
    this.#name = name;
    this.#descriptor = attempt(name, () => openSync(path, "w"));
  }

  /** `line` ends with a newline. */
  write(line: string): void {
    this.#pending += line;
    if (this.#pending.length >= PIECE_CHARACTERS) this.#flush();
  }

  close(): void {
    try {
      this.#flush();
    } finally {
      closeSync(this.#descriptor);
    }
  }

  #flush(): void {
    const bytes = Buffer.from(this.#pending);
    this.#pending = "";
    attempt(this.#name, () => {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#descriptor, bytes, done);
    });
  }
}

function attempt<R>(name: string, write: () => R): R {
  try {
    return write();
  } catch (error) {
    throw new SluiceError({ code: "file-unwritable", where: name, what: (error as Error).message });
  }
}
