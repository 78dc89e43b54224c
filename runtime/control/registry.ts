// What is admitted to the functions that chains can use, and what is taken out again.
import { SluiceError } from "../errors.ts";
import { type Manifest, validateManifest } from "../function/manifest.ts";
import { type PackedFunction, readPackage } from "../function/package-archive.ts";
import { digestOf } from "../function/signature.ts";
import { type CheckLimits, checkApart, checkLimits } from "../testing/check-apart.ts";
import type { Chains } from "./chains.ts";
import { digestOfBuiltIn, type KnownFunctions } from "./known-functions.ts";
import type { Packages, StoredPackage } from "./packages.ts";
import type { Revisions } from "./revisions.ts";
import type { TrustedKeys } from "./trusted-keys.ts";

export interface RegistrySetup {
  readonly packages: Packages;
  readonly known: KnownFunctions;
  readonly keys: TrustedKeys;
  readonly revisions: Revisions;
  readonly chains: Pick<Chains, "exclusively">;
  readonly allowUnsigned: boolean;
  readonly limits?: CheckLimits;
}

export class Registry {
  readonly #setup: Required<RegistrySetup>;
  #checking: Promise<unknown> = Promise.resolve();

  constructor(setup: RegistrySetup) {
    this.#setup = { limits: checkLimits, ...setup };
  }

  /** Whether it was not there before. Throws all that speaks against it; then it is not. */
  async upload(tar: Buffer, name: string, version: string, actor: string): Promise<boolean> {
    const where = `${name}@${version}`;
    const packed = readPackage(tar, where);
    const manifest = readManifest(packed.manifestText, where);
    requireAddress(manifest, name, version);
    const signedBy = this.#requireSignature(packed, where);
    const digest = digestOf(packed.manifestText, packed.wasm);
    const known = this.#requireSame(name, version, digest);
    if (known !== undefined) {
      if (signedBy !== known.signedBy && signedBy !== null) {
        this.#setup.packages.register({ ...packed, manifest }, { signedBy, measured: known.measured }, actor);
      }
      return false;
    }
    const measured = await this.#check(tar, where);
    // That took its time: another upload may have been faster, and trust may have ended.
    const isNew = this.#requireSame(name, version, digest) === undefined;
    const admission = { signedBy: this.#requireSignature(packed, where), measured };
    this.#setup.packages.register({ ...packed, manifest }, admission, actor);
    return isNew;
  }

  /** Throws not-found, function-in-use. Revisions that had it can still be gone back to. */
  remove(name: string, version: string): Promise<void> {
    return this.#setup.chains.exclusively(async () => {
      const where = `${name}@${version}`;
      const { known, packages, revisions } = this.#setup;
      const { origin, digest, usedBy } = known.read(name, version);
      if (origin === "built-in") throw refuseRemoval(where, "it is built in", "it goes with this installation");
      if (usedBy.length > 0) throw refuseRemoval(where, `it is in use by ${usedBy.join(", ")}`);
      packages.withdraw(digest as string, revisions.hasPackage(digest as string));
    });
  }

  /** One after the other: what one costs is measured while no other is. */
  #check(tar: Buffer, where: string) {
    const result = this.#checking.then(() => checkApart(tar, where, this.#setup.limits));
    this.#checking = result.catch(() => {});
    return result;
  }

  /** The name of the key that signed it; null if nobody did, and nobody has to. */
  #requireSignature(packed: PackedFunction, where: string): string | null {
    const { signature } = packed;
    const { keys, allowUnsigned } = this.#setup;
    const signedBy = signature === undefined ? undefined : keys.findSigner(packed, signature);
    if (signedBy !== undefined) return signedBy;
    if (signature === undefined && allowUnsigned) return null;
    const code = "signature-invalid" as const;
    if (signature !== undefined) {
      const what = "its signature is of none of the trusted keys, or it was changed since it was signed";
      throw new SluiceError({ code, where, what, help: "`sluice function trust NAME FILE.pub` adds a key" });
    }
    const help = "sign it with `sluice function sign`, or start control with --allow-unsigned";
    throw new SluiceError({ code, where, what: "it is not signed", help });
  }

  /** What is registered already. Throws function-exists if it, or whatever else is called so, is another package. */
  #requireSame(name: string, version: string, digest: string): StoredPackage | undefined {
    const { packages, known } = this.#setup;
    const stored = packages.findRegistered(name, version);
    const isUploaded = stored?.origin === "registry";
    if (isUploaded && stored.digest === digest) return stored;
    const builtIn = known.findBuiltIn(name, version);
    const isOther = builtIn !== undefined && digestOfBuiltIn(builtIn) !== digest;
    if (isUploaded) throw refuseUpload(name, version, "there is another package of that name and version");
    if (isOther) throw refuseUpload(name, version, "a built-in function is called so");
    if (!packages.isTaken(name, version, digest)) return undefined;
    throw refuseUpload(name, version, "another package was called so that revisions of chains still have");
  }
}

function refuseUpload(name: string, version: string, what: string): SluiceError {
  const help = "a version is one package for ever: give it another version";
  return new SluiceError({ code: "function-exists", where: `${name}@${version}`, what, help });
}

/** Text that is read as JSON from now on, whatever else it could be read as. */
function readManifest(text: string, where: string): Manifest {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new SluiceError({ code: "manifest-invalid", where, what: (error as Error).message });
  }
  try {
    return validateManifest(text, `${where}/manifest.json`);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError({ code: "manifest-invalid", where, what: (error as Error).message });
  }
}

function requireAddress(manifest: Manifest, name: string, version: string): void {
  if (manifest.name === name && manifest.version === version) return;
  const what = `it is ${manifest.name}@${manifest.version}, and not what the address says`;
  throw new SluiceError({ code: "package-invalid", where: `${name}@${version}`, what });
}

function refuseRemoval(where: string, what: string, help?: string): SluiceError {
  return new SluiceError({ code: "function-in-use", where, what, help });
}
