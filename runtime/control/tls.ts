// Certificates: the operator's, or one that is made for this box.
import { spawnSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { SluiceError } from "../errors.ts";
import type { TlsOptions } from "./server.ts";

export interface TlsFiles {
  /** One is made if there is none of the operator's. */
  readonly tls?: boolean | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly clientCa?: string | undefined;
}

const VALID_DAYS = "825";
const RENEWED_BEFORE_MS = 30 * 24 * 60 * 60 * 1000;

/** Null: no TLS. Throws file-unreadable, usage, not-installed. */
export function readTls(options: TlsFiles, root: string): TlsOptions | null {
  const files = findTlsFiles(options, root);
  return files === null ? null : readTlsFiles(files);
}

export interface FoundTlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
}

/** Makes those that the operator does not name, and makes them anew in time. */
export function findTlsFiles(options: TlsFiles, root: string, now = new Date()): FoundTlsFiles | null {
  const { tls, tlsCert, tlsKey, clientCa } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new SluiceError({ code: "usage", where: "--tls-cert", what: "a certificate and its key come together" });
  }
  if (tlsCert === undefined && tls !== true) {
    if (clientCa === undefined) return null;
    throw new SluiceError({ code: "usage", where: "--client-ca", what: "needs --tls, or a certificate" });
  }
  const made = tlsCert === undefined ? keepCertificate(root, now) : { cert: tlsCert, key: tlsKey as string };
  return { ...made, clientCa };
}

export function readTlsFiles({ cert, key, clientCa }: FoundTlsFiles): TlsOptions {
  const authority = clientCa === undefined ? undefined : readFile(clientCa);
  return { cert: readFile(cert), key: readFile(key), clientCa: authority };
}

/** Self-signed; kept from one start to the next until it is about to end. */
function keepCertificate(root: string, now: Date): { cert: string; key: string } {
  const files = { cert: join(root, "tls.crt"), key: join(root, "tls.key") };
  if (existsSync(files.cert) && existsSync(files.key) && !isSpent(files, now)) return files;
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const drafts = { cert: `${files.cert}.new`, key: `${files.key}.new` };
  makeCertificate(drafts);
  renameSync(drafts.key, files.key);
  renameSync(drafts.cert, files.cert);
  return files;
}

/** Ends soon, cannot be read, or was half replaced when its process died. */
function isSpent({ cert, key }: { readonly cert: string; readonly key: string }, now: Date): boolean {
  try {
    const certificate = new X509Certificate(readFileSync(cert));
    if (!certificate.checkPrivateKey(createPrivateKey(readFileSync(key)))) return true;
    return certificate.validToDate.getTime() - now.getTime() < RENEWED_BEFORE_MS;
  } catch {
    return true;
  }
}

/** For this host's name and the loopback addresses. */
function makeCertificate({ cert, key }: { readonly cert: string; readonly key: string }): void {
  const names = `subjectAltName=DNS:${hostname()},DNS:localhost,IP:127.0.0.1,IP:::1`;
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", VALID_DAYS];
  const made = spawnSync(
    "openssl",
    [...args, "-subj", `/CN=${hostname()}`, "-addext", names, "-keyout", key, "-out", cert],
    { encoding: "utf8" },
  );
  if (made.status !== 0) {
    const what = made.error?.message ?? made.stderr.trim();
    throw new SluiceError({ code: "not-installed", where: "openssl", what, help: "install the package openssl" });
  }
  chmodSync(key, 0o600);
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: file, what: (error as Error).message });
  }
}
