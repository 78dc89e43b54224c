import { describe, expect, it } from "vitest";
import type { Finding } from "../../runtime/dataplane/doctor.ts";
import { afxdpObstacle, createBridge } from "../support/afxdp.ts";

const obstacle = afxdpObstacle();
const doctor = new URL("../../runtime/dataplane/doctor.ts", import.meta.url).href;
const script = `
  import { diagnose } from "${doctor}";
  console.log(JSON.stringify(await diagnose(["lan0"], { probe: true })));
`;

describe.skipIf(obstacle !== null)(`probing a device${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  it("says which modes work and leaves nothing behind", async () => {
    const { network, engine } = await createBridge();
    try {
      const { stdout } = await engine.run(process.execPath, "--input-type=module", "--eval", script);
      const findings = JSON.parse(stdout) as Finding[];
      expect(findings.find(({ subject }) => subject === "lan0 XDP modes")).toMatchObject({
        status: "ok",
        found: expect.stringMatching(/^no zero-copy \(bind\(AF_XDP\): .*\), copy, generic$/),
      });
      expect((await engine.run("ip", "link", "show", "dev", "lan0")).stdout).not.toContain("xdp");
    } finally {
      await network.close();
    }
  });
});
