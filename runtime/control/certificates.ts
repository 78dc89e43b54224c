// The API's certificate while it is in use: renewed before it ends if it was made here, read again when the operator has
// replaced it.
import { X509Certificate } from "node:crypto";
import { statSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { TlsOptions } from "./server.ts";
import { findTlsFiles, readTlsFiles, type TlsFiles } from "./tls.ts";

/** A new certificate need not be there at once. */
const LOOK_EVERY_MS = 5000;

export interface CertificateSetup {
  readonly options: TlsFiles;
  readonly root: string;
  readonly report: (text: string) => void;
  /** Connections that begin from now on get these. */
  readonly use: (tls: TlsOptions) => void;
}

export class Certificates {
  readonly #setup: CertificateSetup;
  readonly #timer: NodeJS.Timeout;
  #seen: string;
  #complaint = "";

  constructor(setup: CertificateSetup) {
    this.#setup = setup;
    this.#seen = this.#describe();
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref();
  }

  /** What cannot be used is reported once; what is in use goes on. */
  look(now = new Date()): void {
    const { options, root, report, use } = this.#setup;
    try {
      // Makes another one if its time has come.
      const files = findTlsFiles(options, root, now);
      const seen = this.#describe();
      if (files === null || seen === this.#seen) return;
      this.#seen = seen;
      const tls = readTlsFiles(files);
      // Key and certificate may be replaced one after the other.
      createSecureContext({ cert: tls.cert, key: tls.key });
      use(tls);
      report(`the API has another certificate, valid until ${new X509Certificate(tls.cert).validTo}`);
    } catch (error) {
      const complaint = `the API's certificate stays as it is: ${(error as Error).message}`;
      if (complaint !== this.#complaint) report(complaint);
      this.#complaint = complaint;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #describe(): string {
    const { options, root } = this.#setup;
    const files = Object.values(findTlsFiles(options, root) ?? {}).filter((file) => file !== undefined);
    return files.map((file) => describeFile(file)).join(" ");
  }
}

function describeFile(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false, bigint: true });
  return found === undefined ? "none" : `${found.ino}:${found.size}:${found.mtimeNs}`;
}
