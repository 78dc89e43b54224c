// Packages as tars: what tar writes is read, what an enemy writes is refused, and what is signed stays what it was.
import { spawnSync } from "node:child_process";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SluiceError } from "../../runtime/errors.ts";
import { readPrivateKeyFile, readPublicKeyFile, writeKeyPair } from "../../runtime/function/key-files.ts";
import { readPackage, writePackage } from "../../runtime/function/package-archive.ts";
import { isSignedBy, makeKeyPair, readPublicKey, signPackage } from "../../runtime/function/signature.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const contents = { manifestText: '{"name":"größe"}\n', wasm: new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]) };

function faultOf(bytes: Buffer): string {
  try {
    readPackage(bytes, "x@1.0.0");
    return "none";
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const [{ code, where, what }] = error.faults as [(typeof error.faults)[number]];
    return `${code} ${where}: ${what}`;
  }
}

/** By the program tar, in a folder of these files. */
function tarOf(files: Readonly<Record<string, string>>, ...args: readonly string[]): Buffer {
  const folder = makeFolder(files);
  const { stdout, status, stderr } = spawnSync("tar", ["--create", "--to-stdout", "--directory", folder, ...args], {
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(stderr.toString());
  return stdout;
}

const files = { "manifest.json": "{}", "function.wasm": "wasm" };

/** Sets a field of the first header, and its checksum. */
function patched(bytes: Buffer, offset: number, text: string): Buffer {
  const copy = Buffer.from(bytes);
  copy.write(text, offset, "latin1");
  copy.fill(" ", 148, 156);
  const sum = copy.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  copy.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return copy;
}

describe("a package's tar", () => {
  it("is read as it was written", () => {
    const signature = new Uint8Array(64).fill(7);
    const read = readPackage(writePackage({ ...contents, signature }), "");
    expect({ ...read, signature: new Uint8Array(read.signature ?? []) }).toEqual({ ...contents, signature });
  });

  it("is one for the program tar, too", () => {
    const folder = makeFolder();
    writeFileSync(join(folder, "x.tar"), writePackage({ ...contents, signature: new Uint8Array(64) }));
    const { status, stdout, stderr } = spawnSync("tar", ["tf", join(folder, "x.tar")], { encoding: "utf8" });
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: "function.wasm\nmanifest.json\nsignature\n",
      stderr: "",
    });
    spawnSync("tar", ["xf", join(folder, "x.tar"), "-C", folder]);
    expect(readFileSync(join(folder, "manifest.json"), "utf8")).toBe(contents.manifestText);
  });

  it.each(["gnu", "ustar", "v7", "posix"])("may be in the format %s, with names that begin with ./", (format) => {
    const read = readPackage(tarOf(files, `--format=${format}`, "./manifest.json", "./function.wasm"), "");
    expect(read.manifestText).toBe("{}");
    expect(Buffer.from(read.wasm).toString()).toBe("wasm");
  });

  it("has nothing but the three files", () => {
    const names = ["../manifest.json", "/etc/passwd", "a/function.wasm", "..", "", "manifest.json/", "x".repeat(100)];
    for (const name of names) {
      expect(faultOf(patched(writePackage(contents), 0, `${name}\0`.padEnd(100, "\0")))).toMatch(
        /^package-invalid x@1\.0\.0: ".*" stands in it: a package has /,
      );
    }
  });

  it("has regular files only", () => {
    for (const type of ["1", "2", "3", "4", "5", "6", "7", "S", "L", "K"]) {
      expect(faultOf(patched(writePackage(contents), 156, type))).toContain("which is no regular file");
    }
    expect(faultOf(tarOf(files, "."))).toContain('"./" stands in it');
  });

  it("has each file once, and both of them", () => {
    const twice = tarOf(files, "--hard-dereference", "manifest.json", "function.wasm", "manifest.json");
    expect(faultOf(twice)).toBe("package-invalid x@1.0.0: manifest.json stands in it twice");
    expect(faultOf(tarOf(files, "manifest.json"))).toBe("package-invalid x@1.0.0: it has no function.wasm");
    expect(faultOf(tarOf(files, "function.wasm"))).toBe("package-invalid x@1.0.0: it has no manifest.json");
  });

  it("is not larger than it is, whatever its headers say", () => {
    const tar = writePackage(contents);
    expect(faultOf(patched(tar, 124, "77777777777\0"))).toMatch(/function\.wasm/);
    expect(faultOf(patched(tar, 124, "00000100000\0"))).toContain('it ends within "function.wasm"');
    expect(faultOf(patched(tar, 124, "\x80\0\0\0\0\0\0\0\0\0\0\x01"))).toContain("it is no tar");
    expect(faultOf(patched(tar, 124, "-0000000010\0"))).toContain("it is no tar");
    const large = tarOf({ ...files, "manifest.json": " ".repeat(2 ** 18 + 1) }, "manifest.json", "function.wasm");
    expect(faultOf(large)).toContain("manifest.json has 262145 bytes; at most 262144 are allowed");
  });

  it("has no extended header that says what a member is", () => {
    const harmless = tarOf(files, "--format=posix", "--pax-option=comment:=x", "manifest.json", "function.wasm");
    expect(faultOf(harmless)).toBe("none");
    const renamed = tarOf(files, "--format=posix", "--pax-option=path:=function.wasm", "manifest.json");
    expect(faultOf(renamed)).toContain("has the key path");
  });

  it("is one, and ends where it ends", () => {
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(4096), Buffer.from("text".repeat(500)), Buffer.alloc(511, 1)]) {
      expect(faultOf(bytes)).toBe("package-invalid x@1.0.0: it is no tar");
    }
    expect(faultOf(Buffer.concat([writePackage(contents), Buffer.from("x")]))).toContain("something follows its end");
    expect(faultOf(Buffer.concat([writePackage(contents), Buffer.alloc(2 ** 21)]))).toContain(
      "something follows its end",
    );
  });

  it("has a manifest in UTF-8", () => {
    const tar = writePackage({ ...contents, manifestText: "xx" });
    tar.set([0xff, 0xfe], tar.indexOf("xx"));
    expect(faultOf(tar)).toBe("manifest-invalid x@1.0.0: its manifest.json is not UTF-8 text");
  });

  it("gives a clear error, and no other, for any bytes", () => {
    const tar = writePackage({ ...contents, signature: new Uint8Array(64) });
    const change = fc.record({ at: fc.nat(tar.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 6 }), fc.nat(tar.length), (changes, length) => {
        const copy = Buffer.from(tar);
        for (const { at, byte } of changes) copy[at] = byte;
        expect(faultOf(copy.subarray(0, length))).toMatch(
          /^(none$|package-invalid|manifest-invalid|signature-invalid)/,
        );
      }),
    );
  });
});

describe("a signature", () => {
  const { privateKey, publicKey } = makeKeyPair();
  const other = makeKeyPair();
  const [secret, trusted] = [createPrivateKey(privateKey), createPublicKey(publicKey)];

  it("holds for what was signed, by whoever signed it", () => {
    const signature = signPackage(contents, secret);
    expect(isSignedBy(contents, signature, trusted)).toBe(true);
    expect(isSignedBy(contents, signature, createPublicKey(other.publicKey))).toBe(false);
  });

  it("is over both: nothing can move from one to the other", () => {
    const signature = signPackage(contents, secret);
    const wasm = contents.wasm.with(7, 1);
    expect(isSignedBy({ ...contents, wasm }, signature, trusted)).toBe(false);
    expect(isSignedBy({ ...contents, manifestText: `${contents.manifestText} ` }, signature, trusted)).toBe(false);
    const moved = { manifestText: "ab", wasm: Buffer.from("c") };
    const whole = { manifestText: "a", wasm: Buffer.from("bc") };
    expect(isSignedBy(moved, signPackage(whole, secret), trusted)).toBe(false);
    expect(isSignedBy(contents, signature.with(0, (signature[0] as number) ^ 1), trusted)).toBe(false);
  });

  const isThere = spawnSync("openssl", ["version"]).status === 0;
  const skipped = isThere ? "" : " (skipped: there is no openssl)";

  it.skipIf(!isThere)(`is what nfs/README.md says, for openssl${skipped}`, () => {
    const parts = [Buffer.from(contents.manifestText), Buffer.from(contents.wasm)];
    const message = Buffer.concat([
      Buffer.from("sluice function\n"),
      ...parts.flatMap((part) => [Buffer.from(`${part.length}\n`), part]),
    ]);
    const folder = makeFolder({ "key.pub": publicKey });
    writeFileSync(join(folder, "message"), message);
    writeFileSync(join(folder, "signature"), signPackage(contents, secret));
    const verify = [
      "pkeyutl",
      "-verify",
      "-rawin",
      "-pubin",
      "-inkey",
      "key.pub",
      "-sigfile",
      "signature",
      "-in",
      "message",
    ];
    expect(spawnSync("openssl", verify, { cwd: folder }).status).toBe(0);
  });
});

describe("key files", () => {
  it("are made once; the private one is its owner's alone", () => {
    const file = join(makeFolder(), "key");
    const { publicFile } = writeKeyPair(file);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const signature = signPackage(contents, readPrivateKeyFile(file));
    const key = readPublicKey(readPublicKeyFile(publicFile));
    expect(key !== undefined && isSignedBy(contents, signature, key)).toBe(true);
    expect(() => writeKeyPair(file)).toThrow("exists already");
  });

  it("are told from each other, and from other files", () => {
    const file = join(makeFolder({ "key.txt": "hello" }), "key");
    writeKeyPair(file);
    expect(() => readPrivateKeyFile(`${file}.pub`)).toThrow("no Ed25519 private key");
    expect(() => readPublicKeyFile(file)).toThrow("no Ed25519 public key");
    expect(() => readPublicKeyFile(`${file}.txt`)).toThrow("no Ed25519 public key");
    expect(() => readPrivateKeyFile(`${file}.gone`)).toThrow("file-unreadable");
  });
});
