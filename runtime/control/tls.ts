// Certificates: the operator's, or one that is made for this box.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
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

/** Null: no TLS. Throws file-unreadable, usage, not-installed. */
export function readTls({ tls, tlsCert, tlsKey, clientCa }: TlsFiles, root: string): TlsOptions | null {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new SluiceError({ code: "usage", where: "--tls-cert", what: "a certificate and its key come together" });
  }
  if (tlsCert === undefined && tls !== true) {
    if (clientCa === undefined) return null;
    throw new SluiceError({ code: "usage", where: "--client-ca", what: "needs --tls, or a certificate" });
  }
  const made = tlsCert === undefined ? makeCertificate(root) : { cert: tlsCert, key: tlsKey as string };
  return {
    cert: readFile(made.cert),
    key: readFile(made.key),
    clientCa: clientCa === undefined ? undefined : readFile(clientCa),
  };
}

/** Self-signed, for this host's name and the loopback addresses; kept from one start to the next. */
function makeCertificate(root: string): { cert: string; key: string } {
  const [cert, key] = [join(root, "tls.crt"), join(root, "tls.key")];
  if (existsSync(cert) && existsSync(key)) return { cert, key };
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const names = `subjectAltName=DNS:${hostname()},DNS:localhost,IP:127.0.0.1,IP:::1`;
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", VALID_DAYS];
  const made = spawnSync(
    "openssl",
    [...args, "-subj", `/CN=${hostname()}`, "-addext", names, "-keyout", key, "-out", cert],
    {
      encoding: "utf8",
    },
  );
  if (made.status !== 0) {
    const what = made.error?.message ?? made.stderr.trim();
    throw new SluiceError({ code: "not-installed", where: "openssl", what, help: "install the package openssl" });
  }
  chmodSync(key, 0o600);
  return { cert, key };
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: file, what: (error as Error).message });
  }
}
