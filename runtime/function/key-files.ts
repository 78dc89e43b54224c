// Keys that packages are signed with, in files.
import type { KeyObject } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { SluiceError } from "../errors.ts";
import { makeKeyPair, readPrivateKey, readPublicKey } from "./signature.ts";

/** Writes FILE, which its owner alone can read, and FILE.pub. Throws usage if one of them is there already. */
export function writeKeyPair(file: string): { readonly privateFile: string; readonly publicFile: string } {
  const publicFile = `${file}.pub`;
  for (const each of [file, publicFile]) {
    if (existsSync(each)) throw new SluiceError({ code: "usage", where: each, what: "exists already" });
  }
  const { privateKey, publicKey } = makeKeyPair();
  try {
    writeFileSync(file, privateKey, { mode: 0o600, flag: "wx", flush: true });
    writeFileSync(publicFile, publicKey, { mode: 0o644, flag: "wx", flush: true });
  } catch (error) {
    throw new SluiceError({ code: "file-unwritable", where: file, what: (error as Error).message });
  }
  return { privateFile: file, publicFile };
}

export function readPrivateKeyFile(file: string): KeyObject {
  const key = readPrivateKey(readPem(file));
  if (key !== undefined) return key;
  const what = "it is no Ed25519 private key (PEM, without a passphrase)";
  throw new SluiceError({ code: "file-unreadable", where: file, what, help: "sluice function keygen FILE makes one" });
}

/** The key's PEM. */
export function readPublicKeyFile(file: string): string {
  const pem = readPem(file);
  if (readPublicKey(pem) !== undefined) return pem;
  const what = "it is no Ed25519 public key (PEM)";
  throw new SluiceError({ code: "file-unreadable", where: file, what, help: "it is the file that ends in .pub" });
}

function readPem(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: file, what: (error as Error).message });
  }
}
