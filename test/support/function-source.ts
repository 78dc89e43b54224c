import semver from "semver";
import type { FunctionSource, PlannableManifest } from "../../runtime/chain/plan-functions.ts";

/** Functions that exist only as manifests: `name@version`, read-only, with any configuration. */
export function makeFunctionSource(...manifests: (string | Partial<PlannableManifest>)[]): FunctionSource {
  const known = manifests.map(completeManifest);
  return {
    known,
    find(name, range) {
      const found = known
        .filter((manifest) => manifest.name === name && semver.satisfies(manifest.version, range))
        .toSorted((a, b) => semver.compare(b.version, a.version))[0];
      return found && { manifest: found };
    },
  };
}

function completeManifest(manifest: string | Partial<PlannableManifest>): PlannableManifest {
  if (typeof manifest === "object")
    return { name: "any", version: "1.0.0", frames: "read", memoryPages: 1, config: true, ...manifest };
  const [name = "", version = "1.0.0"] = manifest.split("@");
  return completeManifest({ name, version });
}
