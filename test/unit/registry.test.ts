// The registry over the API: who may have a package in it, what is refused, and what stays.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { writePackage } from "../../runtime/function/package-archive.ts";
import { digestOf, type PackageContents } from "../../runtime/function/signature.ts";
import { type ApiBed, buildContents, makeSigner, startApi } from "../support/registry-bed.ts";
import { projectRoot, sluicePath } from "../support/run-sluice.ts";

const TRIED_MS = 240_000;

let sound: PackageContents;
let changed: PackageContents;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  sound = await buildContents({ name: "sound" }, join(folder, "sound"));
  changed = await buildContents(
    { name: "sound", each: "if (packet.length > 4000) packet.drop();" },
    join(folder, "changed"),
  );
  return () => rmSync(folder, { recursive: true, force: true });
}, TRIED_MS);

const signer = makeSigner();

async function trust({ request }: ApiBed, name: string, key: string) {
  return request("PUT", `/api/v1/keys/${name}`, { key });
}

describe("trusted keys", () => {
  it("are put, listed and taken away", async () => {
    const api = await startApi();
    expect(await trust(api, "me", signer.publicKey)).toMatchObject({ status: 201, body: { name: "me" } });
    expect(await trust(api, "me", `\n${signer.publicKey}`)).toMatchObject({ status: 200 });
    expect(await trust(api, "again", signer.publicKey)).toMatchObject({
      status: 400,
      body: { code: "request-invalid" },
    });
    expect(await trust(api, "me", makeSigner().publicKey)).toMatchObject({ status: 200 });
    const { body } = await api.request("GET", "/api/v1/keys");
    expect(body).toMatchObject([{ name: "me" }]);
    expect((body as { key: string }[])[0]?.key).not.toBe(signer.publicKey);
    expect(await api.request("GET", "/api/v1/keys/me")).toMatchObject({ status: 200, body: { name: "me" } });
    expect(await api.request("DELETE", "/api/v1/keys/me")).toMatchObject({ status: 204 });
    expect(await api.request("DELETE", "/api/v1/keys/me")).toMatchObject({ status: 404, body: { code: "not-found" } });
  });

  it("are Ed25519, and public", async () => {
    const api = await startApi();
    for (const key of ["", "text", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"]) {
      expect(await trust(api, "me", key)).toMatchObject({ status: 400, body: { code: "request-invalid" } });
    }
    expect(await api.request("GET", "/api/v1/keys")).toMatchObject({ body: [] });
  });
});

describe("signatures", () => {
  it("of a trusted key are needed, over manifest and module", async () => {
    const api = await startApi();
    const signed = signer.sign(sound);
    const manifestText = sound.manifestText.replace("For tests.", "For test.s");
    const refused = { status: 422, body: { code: "signature-invalid" } };
    expect(await api.push(sound, "sound", "1.0.0")).toMatchObject(refused);
    expect(await api.push(signed, "sound", "1.0.0")).toMatchObject(refused);
    await trust(api, "me", signer.publicKey);
    expect(await api.push({ ...signed, manifestText }, "sound", "1.0.0")).toMatchObject(refused);
    expect(await api.push({ ...signed, wasm: changed.wasm }, "sound", "1.0.0")).toMatchObject(refused);
    expect(await api.push({ ...signed, signature: signed.signature?.slice(1) }, "sound", "1.0.0")).toMatchObject(
      refused,
    );
    expect(await api.request("GET", "/api/v1/functions/sound/1.0.0")).toMatchObject({ status: 404 });
  });

  it("that are wrong are refused also where none is needed", async () => {
    const api = await startApi({ allowUnsigned: true });
    const refused = { status: 422, body: { code: "signature-invalid" } };
    expect(await api.push(signer.sign(sound), "sound", "1.0.0")).toMatchObject(refused);
  });
});

describe("an upload", () => {
  it(
    "is tried, measured and described; the same one again changes nothing, another one is refused",
    async () => {
      const api = await startApi();
      await trust(api, "me", signer.publicKey);
      const first = await api.push(signer.sign(sound), "sound", "1.0.0");
      expect(first).toMatchObject({
        status: 201,
        body: {
          ...{ name: "sound", version: "1.0.0", origin: "registry", signedBy: "me", usedBy: [] },
          digest: digestOf(sound.manifestText, sound.wasm),
          measured: { smoke: "passed", configurations: 1, cost: { frameBytes: 64, batch: 256 } },
          manifest: { name: "sound", memoryPages: 16 },
        },
      });
      const { measured } = first.body as { measured: { frames: number; cost: { nsPerPacket: number } } };
      expect(measured.frames).toBeGreaterThan(10_000);
      expect(measured.cost.nsPerPacket).toBeGreaterThan(0);

      expect(await api.push(signer.sign(sound), "sound", "1.0.0")).toEqual({
        ...first,
        status: 200,
        headers: expect.anything(),
      });
      const other = await api.push(signer.sign(changed), "sound", "1.0.0");
      expect(other).toMatchObject({ status: 409, body: { code: "function-exists" } });

      const { body } = await api.request("GET", "/api/v1/functions");
      expect(body).toMatchObject(
        expect.arrayContaining([expect.objectContaining({ name: "hello", origin: "built-in" })]),
      );
      const accept = { accept: "application/x-tar" };
      const { body: tar, headers } = await api.request("GET", "/api/v1/functions/sound/1.0.0", undefined, accept);
      expect(headers.get("content-type")).toBe("application/x-tar");
      expect(writePackage(signer.sign(sound)).equals(tar as Buffer)).toBe(true);

      expect(await api.request("DELETE", "/api/v1/functions/sound/1.0.0")).toMatchObject({ status: 204 });
      expect(await api.request("DELETE", "/api/v1/functions/sound/1.0.0")).toMatchObject({ status: 404 });
      const audit = (await api.request("GET", "/api/v1/audit")).body as { action: string; outcome: string }[];
      const puts = audit.filter(({ action }) => action === "PUT /api/v1/functions/:name/:version");
      expect(puts.map(({ outcome }) => outcome)).toEqual(["function-exists", "ok", "ok"]);
    },
    TRIED_MS,
  );

  it(
    "has the name and version of its address, a manifest that is one, and the type of a tar",
    async () => {
      const api = await startApi({ allowUnsigned: true });
      const code = (code: string, status = 422) => ({ status, body: { code } });
      expect(await api.push(sound, "sound", "1.0.1")).toMatchObject(code("package-invalid"));
      expect(await api.push(sound, "other", "1.0.0")).toMatchObject(code("package-invalid"));
      expect(await api.push(sound, "sound", "1")).toMatchObject(code("request-invalid", 400));
      expect(await api.push(sound, "..%2Fsound", "1.0.0")).toMatchObject(code("request-invalid", 400));
      expect(await api.push(Buffer.from("no tar"), "sound", "1.0.0")).toMatchObject(code("package-invalid"));
      const yaml = { ...sound, manifestText: "name: sound\n" };
      expect(await api.push(yaml, "sound", "1.0.0")).toMatchObject(code("manifest-invalid"));
      const deep = { ...sound, manifestText: "[".repeat(100_000) + "]".repeat(100_000) };
      expect(await api.push(deep, "sound", "1.0.0")).toMatchObject(code("document-syntax", 400));
      const empty = { ...sound, manifestText: "{}" };
      expect(await api.push(empty, "sound", "1.0.0")).toMatchObject(code("manifest-invalid"));
      const json = await api.request("PUT", "/api/v1/functions/sound/1.0.0", { name: "sound" });
      expect(json).toMatchObject(code("media-type", 415));
      const large = { ...sound, wasm: new Uint8Array(20 * 2 ** 20) };
      expect(await api.push(large, "sound", "1.0.0")).toMatchObject(code("module-invalid"));
      const larger = await api.push(Buffer.alloc(97 * 2 ** 20), "sound", "1.0.0");
      expect(larger).toMatchObject(code("body-too-large", 413));
      expect((await api.request("GET", "/healthz")).status).toBe(200);
    },
    TRIED_MS,
  );

  it("is described by the API", async () => {
    const { request } = await startApi();
    const { body } = await request("GET", "/api/v1/openapi.json");
    const { get, put } = (body as { paths: Record<string, Record<string, object>> }).paths[
      "/api/v1/functions/{name}/{version}"
    ] as Record<string, object>;
    expect(put).toMatchObject({
      requestBody: { content: { "application/x-tar": {} } },
      responses: { 201: {}, 409: { description: expect.stringContaining("function-exists") } },
    });
    expect(get).toMatchObject({ responses: { 200: { content: { "application/json": {}, "application/x-tar": {} } } } });
  });

  it("of other bytes is no built-in function, though it is called so; built-in ones stay", async () => {
    const api = await startApi({ allowUnsigned: true });
    const hello = { manifestText: sound.manifestText.replace('"sound"', '"hello"'), wasm: sound.wasm };
    expect(await api.push(hello, "hello", "1.0.0")).toMatchObject({ status: 409, body: { code: "function-exists" } });
    const gone = await api.request("DELETE", "/api/v1/functions/hello/1.0.0");
    expect(gone).toMatchObject({ status: 409, body: { code: "function-in-use" } });
    const accept = { accept: "application/x-tar" };
    const { body } = await api.request("GET", "/api/v1/functions/hello/1.0.0", undefined, accept);
    expect((body as Buffer).includes(readFileSync(join(projectRoot, "nfs/hello/manifest.json")))).toBe(true);
  });
});

describe("sluice function", () => {
  it(
    "makes keys, and pushes, lists, inspects and deletes",
    async () => {
      const { folder, env } = await startApi();
      const sluice = async (...args: readonly string[]) => {
        const options = { env: { ...process.env, ...env }, timeout: 120_000 };
        const work = promisify(execFile)(sluicePath, ["function", ...args], options);
        return work.catch(({ stdout, stderr }: { stdout: string; stderr: string }) => ({ stdout, stderr }));
      };
      const [key, tar] = [join(folder, "key"), join(folder, "sound.tar")];
      writeFileSync(tar, writePackage(sound));
      expect((await sluice("push", tar)).stderr).toContain("error[signature-invalid] sound@1.0.0: it is not signed");
      await sluice("keygen", key);
      expect((await sluice("sign", tar, "--key", key)).stdout).toBe(`${tar} signed\n`);
      expect((await sluice("trust", "me", `${key}.pub`)).stdout).toBe("me is trusted\n");
      expect((await sluice("keys")).stdout).toMatch(/^key {2}since\nme {3}\d{4}-/);
      expect((await sluice("push", tar)).stdout).toMatch(/^sound@1\.0\.0 admitted\n {2}origin {4}registry, since/);
      expect((await sluice("push", tar)).stdout).toContain("was there already");
      expect((await sluice("list")).stdout).toMatch(/^sound +1\.0\.0 +registry +For tests\.$/m);
      expect((await sluice("inspect", "sound@1.0.0", "-o", "yaml")).stdout).toContain("signedBy: me\n");
      expect((await sluice("inspect", "sound")).stderr).toContain("error[usage] sound: is not NAME@VERSION");
      expect((await sluice("delete", "sound@1.0.0")).stdout).toBe("sound@1.0.0 deleted\n");
      expect((await sluice("inspect", "sound@1.0.0")).stderr).toContain("error[not-found]");
      expect((await sluice("distrust", "me")).stdout).toBe("me is not trusted any more\n");
    },
    TRIED_MS,
  );
});
