// What makes a package this one and no other: its digest, and the signature of whoever vouches for it.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";

/** As they are packed, byte for byte. */
export interface PackageContents {
  readonly manifestText: string;
  readonly wasm: Uint8Array;
}

export const SIGNATURE_BYTES = 64;

const PREFIX = "sluice function\n";

/** SHA-256 of what is signed, in hexadecimal. */
export function digestOf(manifestText: string, wasm: Uint8Array): string {
  const hash = createHash("sha256");
  for (const part of signedParts({ manifestText, wasm })) hash.update(part);
  return hash.digest("hex");
}

export function signPackage(contents: PackageContents, privateKey: KeyObject): Uint8Array {
  return sign(null, Buffer.concat(signedParts(contents)), privateKey);
}

export function isSignedBy(contents: PackageContents, signature: Uint8Array, publicKey: KeyObject): boolean {
  return verify(null, Buffer.concat(signedParts(contents)), publicKey, signature);
}

/** A prefix, then manifest.json and function.wasm, each with its length in decimal and a line feed before it. */
function signedParts({ manifestText, wasm }: PackageContents): Uint8Array[] {
  const parts = [Buffer.from(manifestText), wasm];
  return [Buffer.from(PREFIX), ...parts.flatMap((part) => [Buffer.from(`${part.length}\n`), part])];
}

/** PEM. */
export function makeKeyPair(): { readonly privateKey: string; readonly publicKey: string } {
  return generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
}

/** Undefined if the text is no Ed25519 private key in PEM without a passphrase. */
export function readPrivateKey(pem: string): KeyObject | undefined {
  return readEd25519(() => createPrivateKey(pem));
}

/** Undefined if the text is no Ed25519 public key in PEM. A private key is none, though one could be made of it. */
export function readPublicKey(pem: string): KeyObject | undefined {
  return pem.includes("PRIVATE") ? undefined : readEd25519(() => createPublicKey(pem));
}

function readEd25519(read: () => KeyObject): KeyObject | undefined {
  try {
    const key = read();
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    return undefined;
  }
}
