// Functions tried before they are admitted: what traps, hangs, lies or takes too much is refused, and whoever tries it goes on.
import { describe, expect, it, vi } from "vitest";
import { SluiceError } from "../../runtime/errors.ts";
import { writePackage } from "../../runtime/function/package-archive.ts";
import type { PackageContents } from "../../runtime/function/signature.ts";
import { checkApart, checkLimits } from "../../runtime/testing/check-apart.ts";
import { listMalformedFrames } from "../../runtime/testing/malformed-frames.ts";
import { buildContents, type FunctionText } from "../support/registry-bed.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const TRIED_MS = 240_000;

async function refusalOf(contents: PackageContents, limits = checkLimits): Promise<string> {
  try {
    await checkApart(writePackage(contents), "x@1.0.0", limits);
    return "none";
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const [{ code, where, what }] = error.faults as [(typeof error.faults)[number]];
    return `${code} ${where}: ${what}`;
  }
}

const refusalOfText = async (text: Omit<FunctionText, "name">) =>
  refusalOf(await buildContents({ name: "tried", ...text }));

/** A function that never returns is soon enough known to be one. */
const short = { ...checkLimits, stepSeconds: 4 };

describe("frames that nobody should send", () => {
  it("are the same every time, and of every kind", () => {
    const [once, again] = [listMalformedFrames(), listMalformedFrames()];
    expect(again).toEqual(once);
    for (const { frames } of once) expect(frames.length).toBeGreaterThan(0);
    const all = once.flatMap(({ frames }) => frames);
    expect(all.some(({ length }) => length === 0)).toBe(true);
    expect(all.some(({ length }) => length > 9000)).toBe(true);
  });
});

describe("a function that is tried", () => {
  it(
    "may not trap on a frame, and its line is shown",
    async () => {
      const each = "if (packet.length < 14) unreachable();";
      expect(await refusalOfText({ each })).toMatch(
        /^function-unsound tried\/index\.ts:\d+:\d+: it trapped on truncated frames, with the configuration \{\}: unreachable/,
      );
    },
    TRIED_MS,
  );

  it(
    "may not trap while it is configured",
    async () => {
      const text = await refusalOfText({ configure: 'throw new Error("no");' });
      expect(text).toMatch(/^function-unsound .*: tried trapped while it was configured: no/);
    },
    TRIED_MS,
  );

  it(
    "returns, from each batch and from nf_configure",
    async () => {
      const looping = await buildContents({ name: "looping", each: "while (packet.length < 14) {}" });
      expect(await refusalOf(looping, short)).toBe(
        "function-unsound x@1.0.0: it did not return within 4 s of processor time: truncated frames, with the configuration {}",
      );
      const configure = "let n = json.length; while (n > 0) { n = n | 1; } return n == 7;";
      const hanging = await buildContents({ name: "hanging", configure });
      expect(await refusalOf(hanging, short)).toMatch(/did not return .*: configuring it with the configuration \{\}$/);
    },
    TRIED_MS,
  );

  it(
    "may not leave results that do not hold",
    async () => {
      const each = "packet.branch(77);";
      expect(await refusalOfText({ each })).toMatch(/^function-unsound x?.*a result of nf_process does not hold/);
    },
    TRIED_MS,
  );

  it(
    "is a module that admission lets in",
    async () => {
      const { manifestText } = await buildContents({ name: "tried" });
      expect(await refusalOf({ manifestText, wasm: new Uint8Array([0, 97, 115, 109]) })).toMatch(
        /^module-invalid tried@1/,
      );
      const empty = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
      expect(await refusalOf({ manifestText, wasm: empty })).toMatch(/^module-not-function/);
    },
    TRIED_MS,
  );

  it(
    "does not get more memory than there is for it",
    async () => {
      const contents = await buildContents({ name: "tried" });
      const memoryBytes = 64 * 2 ** 20;
      expect(await refusalOf(contents, { ...checkLimits, memoryBytes })).toMatch(
        /^(function-unsound|internal) x@1\.0\.0/,
      );
      expect(await refusalOf(contents)).toBe("none");
    },
    TRIED_MS,
  );

  it("is refused where it cannot be tried", async () => {
    const contents = await buildContents({ name: "tried" });
    vi.stubEnv("PATH", makeFolder());
    const refused = await refusalOf(contents);
    vi.unstubAllEnvs();
    expect(refused).toBe("system-call prlimit: spawn prlimit ENOENT");
  }, 240_000);

  it(
    "is tried with the examples of its manifest, which have to hold",
    async () => {
      const configure = 'if (!json.includes("\\"port\\":\\"wan\\"")) return false;';
      const config = { type: "object", required: ["port"], properties: { port: { type: "string" } } };
      const without = await buildContents({ name: "tried", configure, config });
      expect(await checkApart(writePackage(without), "x@1.0.0")).toMatchObject({
        smoke: expect.stringMatching(/^skipped: it does not take \{\}/),
        cost: null,
      });
      const examples = [{ port: "wan" }];
      const withOne = await buildContents({ name: "tried", configure, config: { ...config, examples } });
      expect(await checkApart(writePackage(withOne), "x@1.0.0")).toMatchObject({ smoke: "passed", configurations: 1 });
      const wrong = { ...config, examples: [...examples, { port: "lan" }] };
      expect(await refusalOf(await buildContents({ name: "tried", configure, config: wrong }))).toMatch(
        /^config-invalid tried@1\.0\.0: it refuses example 2 of its manifest: /,
      );
    },
    TRIED_MS,
  );
});
