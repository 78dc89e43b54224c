import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { SluiceError } from "../../runtime/errors.ts";
import { ask, LineServer } from "../../runtime/generation/line-socket.ts";
import { makeFolder } from "../support/temporary-folder.ts";

describe("a socket of lines", () => {
  let server: LineServer<unknown> | undefined;

  afterEach(() => {
    server?.close();
    server = undefined;
  });

  const listen = async (answer: (question: unknown) => Promise<unknown>) => {
    const file = join(makeFolder(), "test.sock");
    server = await LineServer.listen(file, answer);
    return file;
  };

  it("answers what is asked, and passes on what is thrown", async () => {
    const file = await listen(async (question) => {
      if (question === "nothing") return undefined;
      if (question === "refuse") throw new SluiceError({ code: "usage", where: "x", what: "no" });
      return { echo: question };
    });
    expect(await ask(file, { a: 1 })).toEqual({ echo: { a: 1 } });
    expect(await ask(file, "nothing")).toBeNull();
    await expect(ask(file, "refuse")).rejects.toMatchObject({ code: "usage" });
    await expect(ask(join(makeFolder(), "none.sock"), 1)).rejects.toMatchObject({ code: "not-running" });
  });

  it("says that nobody is there if the other side ends before it answers", async () => {
    const file = await listen(() => new Promise(() => {}));
    const asked = ask(file, 1);
    await sleep(50);
    server?.close();
    await expect(asked).rejects.toMatchObject({ code: "not-running" });
  });

  it("outlives those that are killed with an answer under way", async () => {
    const file = await listen(async () => "x".repeat(4 << 20));
    const program = `const s = require("net").connect(${JSON.stringify(file)}); s.write("1\\n2\\n");
      s.once("data", () => { s.pause(); process.stdout.write("got"); }); setInterval(() => {}, 1e3)`;
    const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "close");
    // An error that nobody takes ends the process of the server, which is this one.
    expect(await ask(file, 1)).toHaveLength(4 << 20);
  });
});
