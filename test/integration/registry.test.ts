// Packages given to a box with the command line, and chains that use them while traffic flows.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { makeCountingFunctions } from "../support/counting-function.ts";
import { RunningBox } from "../support/running-box.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const obstacle = networkObstacle();

const edge = (range: string) => ({
  chain: "edge",
  ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
  functions: { count: { use: `counting@${range}` } },
  paths: [
    { from: "lan", through: ["count"], to: "wan" },
    { from: "wan", through: ["count"], to: "lan" },
  ],
});

describe.skipIf(obstacle !== null)(`a registry${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let between: BoxBetween;
  let box: RunningBox;

  beforeEach(async () => {
    between = await createBoxBetween();
    box = await RunningBox.start(between.box);
  });

  afterEach(async ({ task }) => {
    if (task.result?.state === "fail") console.log(box.said);
    await box?.dispose();
    await between?.close();
  });

  const sluice = async (...args: readonly string[]) => {
    const { status, stdout, stderr } = await box.run(...args);
    return { status, said: stdout.trim(), error: stderr.split("\n")[0] };
  };

  it("keeps what a chain uses, and what can be gone back to", async () => {
    const packages = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "1.1.0", step: 2 });
    const key = join(makeFolder(), "key");
    expect(await sluice("function", "keygen", key)).toMatchObject({ status: 0 });
    expect(await sluice("function", "trust", "builder", `${key}.pub`)).toMatchObject({ status: 0 });
    expect(await sluice("function", "push", join(packages, "counting-1.0.0"))).toMatchObject({
      status: 2,
      error: "error[signature-invalid] counting@1.0.0: it is not signed",
    });
    const push = (version: string) => sluice("function", "push", join(packages, `counting-${version}`), "--sign", key);
    expect(await push("1.0.0")).toMatchObject({ status: 0, error: "" });
    const first = await box.put("edge", edge("1"));
    expect(first.document.functions).toMatchObject({ count: { use: "counting@1.0.0" } });
    expect(await between.ping(3)).toBe(3);
    expect(await sluice("function", "delete", "counting@1.0.0")).toMatchObject({
      error: "error[function-in-use] counting@1.0.0: it is in use by edge",
    });

    // The range is resolved anew when the chain is applied anew, and not before.
    expect(await push("1.1.0")).toMatchObject({ status: 0 });
    expect((await box.get("edge")).functions).toMatchObject({ count: { use: "counting@1.0.0" } });
    expect((await box.put("edge", edge("1"))).document.functions).toMatchObject({ count: { use: "counting@1.1.0" } });
    const inspected = JSON.parse((await sluice("function", "inspect", "counting@1.1.0", "-o", "json")).said);
    expect(inspected).toMatchObject({ usedBy: ["edge"], signedBy: "builder", measured: { smoke: "passed" } });

    expect(await sluice("function", "delete", "counting@1.0.0")).toMatchObject({ status: 0 });
    const known = JSON.parse((await sluice("function", "list", "-o", "json")).said) as {
      name: string;
      version: string;
    }[];
    expect(known.filter(({ name }) => name === "counting").map(({ version }) => version)).toEqual(["1.1.0"]);
    expect(await sluice("chain", "rollback", "edge")).toMatchObject({ status: 0 });
    expect((await box.get("edge")).functions).toMatchObject({ count: { use: "counting@1.0.0" } });
    expect(await between.ping(3)).toBe(3);
    expect(await sluice("function", "delete", "counting@1.1.0")).toMatchObject({ status: 0 });

    // It is the one that the chain runs, and no other takes its place.
    const other = await makeCountingFunctions({ version: "1.0.0", step: 3 });
    expect(await sluice("function", "push", join(other, "counting-1.0.0"), "--sign", key)).toMatchObject({
      error: expect.stringContaining("error[function-exists] counting@1.0.0"),
    });
    expect(await push("1.0.0")).toMatchObject({ status: 0 });
    expect(await sluice("function", "inspect", "counting@1.0.0")).toMatchObject({
      said: expect.stringContaining("used by   edge"),
    });
  }, 300_000);

  it("takes a tar that was signed when it was built, and goes on when what it is given kills whoever tries it", async () => {
    const folder = join(makeFolder(), "counter");
    const key = join(folder, "../key");
    await sluice("function", "new", "counter", "--into", join(folder, ".."));
    await sluice("function", "keygen", key);
    await sluice("function", "trust", "builder", `${key}.pub`);
    const built = JSON.parse((await sluice("function", "build", folder, "--sign", key, "--json")).said);
    expect(built).toMatchObject({ signed: true });
    expect(await sluice("function", "push", built.package)).toMatchObject({
      said: expect.stringMatching(/^counter@0\.1\.0 admitted\n.*signed {4}by builder\n.*cost .* ns per packet/s),
    });
    const copy = join(folder, "copy.tar");
    writeFileSync(copy, readFileSync(built.package));
    expect(await sluice("function", "sign", copy, "--key", key)).toMatchObject({ status: 0 });
    expect(readFileSync(copy).equals(readFileSync(built.package))).toBe(true);

    const loop = join(folder, "../loop");
    mkdirSync(loop);
    writeFileSync(
      join(loop, "manifest.json"),
      readFileSync(join(folder, "manifest.json"), "utf8").replace("counter", "loop"),
    );
    const source = readFileSync(join(folder, "index.ts"), "utf8");
    writeFileSync(
      join(loop, "index.ts"),
      source.replace(/(export function nf_process\(\): void \{)/, "$1 unreachable();"),
    );
    expect(await sluice("function", "push", loop, "--sign", key)).toMatchObject({
      status: 1,
      error: expect.stringMatching(/^error\[function-unsound\] .*index\.ts:\d+:\d+: it trapped on sound frames/),
    });
    expect(await sluice("function", "list")).toMatchObject({ status: 0, said: expect.not.stringContaining("loop") });
  }, 300_000);
});
