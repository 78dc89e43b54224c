// A function package as one tar in memory: written always as the same bytes, read as if an enemy had written it.
import { type ErrorCode, SluiceError } from "../errors.ts";
import { type PackageContents, SIGNATURE_BYTES } from "./signature.ts";

export interface PackedFunction extends PackageContents {
  /** Ed25519 (signature.ts); undefined if nobody signed it. */
  readonly signature?: Uint8Array | undefined;
}

export const MODULE_BYTES_MAX = 64 * 1024 * 1024;
export const MANIFEST_BYTES_MAX = 256 * 1024;

/** Larger than any package. */
export const PACKAGE_BYTES_MAX = 96 * 1024 * 1024;

const BLOCK = 512;
/** What tar writes at once, unless it is told otherwise. */
const RECORD = 20 * BLOCK;
const PADDING_MAX = 1024 * 1024;

const limits: Readonly<Record<string, number>> = {
  "function.wasm": MODULE_BYTES_MAX,
  "manifest.json": MANIFEST_BYTES_MAX,
  signature: SIGNATURE_BYTES,
};

/** Extended headers that change what the next member is; the others say when it was written, and by whom. */
const meaningfulKeys = /^(path|size|linkpath|hdrcharset|GNU\..*|SCHILY\.realsize)$/;

export function writePackage({ manifestText, wasm, signature }: PackedFunction): Buffer {
  const members: [string, Uint8Array][] = [
    ["function.wasm", wasm],
    ["manifest.json", Buffer.from(manifestText)],
    ...(signature === undefined ? [] : [["signature", signature] as [string, Uint8Array]]),
  ];
  const parts = members.flatMap(([name, bytes]) => [
    writeHeader(name, bytes.length),
    bytes,
    padding(bytes.length, BLOCK),
  ]);
  const written = parts.reduce((sum, { length }) => sum + length, 2 * BLOCK);
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK), padding(written, RECORD)]);
}

/** Throws package-invalid with what is wrong with it. Whether the manifest is one is not looked at. */
export function readPackage(bytes: Buffer, where: string): PackedFunction {
  const members = new Map<string, Buffer>();
  for (const [name, content] of readMembers(bytes, where)) {
    if (members.has(name)) throw refuse(where, `${name} stands in it twice`);
    members.set(name, content);
  }
  const [wasm, manifest, signature] = ["function.wasm", "manifest.json", "signature"].map((name) => members.get(name));
  if (wasm === undefined || manifest === undefined) {
    throw refuse(where, `it has no ${wasm === undefined ? "function.wasm" : "manifest.json"}`);
  }
  if (signature !== undefined && signature.length !== SIGNATURE_BYTES) {
    throw refuse(where, `its signature has ${signature.length} bytes, not ${SIGNATURE_BYTES}`, "signature-invalid");
  }
  return { manifestText: readText(manifest, where), wasm: new Uint8Array(wasm), signature };
}

function* readMembers(bytes: Buffer, where: string): Generator<[string, Buffer]> {
  let at = 0;
  while (at + BLOCK <= bytes.length) {
    const header = bytes.subarray(at, at + BLOCK);
    if (isZero(header)) break;
    const { name, type, size } = readHeader(header, where);
    const content = bytes.subarray(at + BLOCK, at + BLOCK + size);
    if (content.length < size) throw refuse(where, `it ends within ${show(name)}`);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (type === "x" || type === "g") requireHarmless(content, where);
    else yield [requireMember(name, type, size, where), content];
  }
  if (at === 0) throw refuse(where, "it is no tar");
  const rest = bytes.subarray(at);
  if (rest.length > PADDING_MAX || !isZero(rest)) throw refuse(where, "something follows its end");
}

interface Header {
  readonly name: string;
  readonly type: string;
  readonly size: number;
}

/** The fields of POSIX.1-1988; numbers in octal only. */
function readHeader(header: Buffer, where: string): Header {
  const size = readOctal(header, 124, 12);
  if (readOctal(header, 148, 8) !== checksumOf(header) || size === undefined) throw refuse(where, "it is no tar");
  const isUstar = header.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isUstar ? readString(header, 345, 155) : "";
  const name = (prefix === "" ? "" : `${prefix}/`) + readString(header, 0, 100);
  return { name, type: header.toString("latin1", 156, 157), size };
}

function requireMember(name: string, type: string, size: number, where: string): string {
  const plain = name.replace(/^\.\//, "");
  const limit = Object.hasOwn(limits, plain) ? limits[plain] : undefined;
  if (limit === undefined || (type !== "0" && type !== "\0")) {
    const what = limit === undefined ? show(name) : `${show(name)}, which is no regular file,`;
    throw refuse(where, `${what} stands in it: a package has function.wasm, manifest.json and perhaps signature`);
  }
  if (size > limit) throw refuse(where, `${plain} has ${size} bytes; at most ${limit} are allowed`);
  return plain;
}

/** `LENGTH KEY=VALUE\n`, again and again. */
function requireHarmless(content: Buffer, where: string): void {
  const keys = [...content.toString("latin1").matchAll(/^\d+ ([^=\n]+)=/gm)].map(([, key = ""]) => key);
  const found = keys.find((key) => meaningfulKeys.test(key));
  if (found !== undefined) throw refuse(where, `an extended header of it has the key ${found}, which is not needed`);
}

function writeHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  header.write(name, 0, "latin1");
  header.write(octal(0o644, 7) + octal(0, 7) + octal(0, 7) + octal(size, 11) + octal(0, 11), 100, "latin1");
  header.write("0", 156, "latin1");
  header.write("ustar\u000000", 257, "latin1");
  header.write(octal(0, 7) + octal(0, 7), 329, "latin1");
  header.write(`${octal(checksumOf(header), 6)} `, 148, "latin1");
  return header;
}

/** Of all bytes, with its own field taken for spaces. */
function checksumOf(header: Buffer): number {
  return header.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);
}

function readOctal(header: Buffer, at: number, length: number): number | undefined {
  const text = header
    .toString("latin1", at, at + length)
    .replace(/[\0 ]+$/, "")
    .trimStart();
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

function readString(header: Buffer, at: number, length: number): string {
  return header.toString("latin1", at, at + length).split("\0")[0] as string;
}

/** Strict: what is stored and signed is what was read. */
function readText(manifest: Buffer, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(manifest);
  } catch {
    throw refuse(where, "its manifest.json is not UTF-8 text", "manifest-invalid");
  }
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}

function padding(length: number, unit: number): Buffer {
  return Buffer.alloc((unit - (length % unit)) % unit);
}

/** Names come from strangers. */
function show(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}

function refuse(where: string, what: string, code: ErrorCode = "package-invalid"): SluiceError {
  return new SluiceError({ code, where, what });
}
