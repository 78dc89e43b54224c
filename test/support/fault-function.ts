import { type FunctionTestOptions, type FunctionUnderTest, openFunction } from "../../runtime/testing/index.ts";
import { makeFolder } from "./temporary-folder.ts";

/** A function whose nf_process is `body`, in AssemblyScript; line 5 of its index.ts. */
export async function openFaultFunction(
  body: string,
  options: FunctionTestOptions & { readonly frames?: "none" | "read" | "write"; readonly imports?: string } = {},
): Promise<FunctionUnderTest> {
  const manifest = { name: "faulty", version: "1.0.0", abi: 1, description: "Misbehaves.", memoryPages: 16 };
  const folder = makeFolder({
    "faulty/index.ts": [
      `import { batch, ${options.imports ?? "Counter"} } from "sluice/sdk";`,
      'export { nf_abi } from "sluice/sdk/exports";',
      "export function nf_configure(json: string): bool { return true; }",
      "export function nf_process(): void {",
      body,
      "}",
    ].join("\n"),
    "faulty/manifest.json": JSON.stringify({ ...manifest, frames: options.frames ?? "read" }),
  });
  return openFunction(`${folder}/faulty`, options);
}
