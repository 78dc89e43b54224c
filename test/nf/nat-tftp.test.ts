// TFTP through nfs/nat: the server answers from another port than the one that was asked.
import { afterEach, expect, it } from "vitest";
import { describeBoth, type NatUnderTest, openNat } from "../support/nat-under-test.ts";

const opened: NatUnderTest[] = [];
const strict = "address-and-port-dependent";
const office = { from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve", mapping: strict, filtering: strict };

async function open(config: object = {}): Promise<NatUnderTest> {
  const nat = await openNat({ sources: [office], helpers: { tftp: true }, ...config });
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const request = (operation: string) =>
  `udp 10.0.0.1:5000 > 192.0.2.1:69 payload ${operation}${Buffer.from("file\0octet\0").toString("hex")}`;
const answer = "udp 192.0.2.1:3333 > 203.0.113.1:5000 payload 00030001";

describeBoth("TFTP", () => {
  it.each(["0001", "0002"])("an answer to the request %s comes in from another port, once", async (operation) => {
    const nat = await open();
    nat.out(request(operation));
    expect(nat.in("udp 192.0.2.2:3333 > 203.0.113.1:5000")).toEqual(["drop filtered"]);
    expect(nat.in(answer)).toEqual(["next udp 192.0.2.1:3333 > 10.0.0.1:5000 payload 00030001"]);
    expect(nat.in("udp 192.0.2.1:4444 > 203.0.113.1:5000")).toEqual(["drop filtered"]);
    expect(nat.out("udp 10.0.0.1:5000 > 192.0.2.1:3333 payload 00040001")).toEqual([
      "next udp 203.0.113.1:5000 > 192.0.2.1:3333 payload 00040001",
    ]);
  });

  it("nothing else is answered so, nor for long, nor if it is not asked for", async () => {
    const nat = await open();
    nat.out(request("0003"));
    expect(nat.in(answer)).toEqual(["drop filtered"]);
    nat.out(request("0001"));
    expect(nat.in(answer, 60)).toEqual(["drop filtered"]);
    const without = await open({ helpers: {} });
    without.out(request("0001"));
    expect(without.in(answer)).toEqual(["drop filtered"]);
  });

  it("a server inside answers as the address that was asked", async () => {
    const forwards = [{ address: "203.0.113.1", ipProto: "udp", ports: 69, to: "192.168.0.69" }];
    const nat = await open({ forwards });
    const asked = request("0001").replace("10.0.0.1:5000 > 192.0.2.1:69", "192.0.2.9:5000 > 203.0.113.1:69");
    expect(nat.in(asked)[0]).toContain("192.0.2.9:5000 > 192.168.0.69:69");
    expect(nat.out("udp 192.168.0.69:3333 > 192.0.2.9:5000 payload 00030001")).toEqual([
      "next udp 203.0.113.1:3333 > 192.0.2.9:5000 payload 00030001",
    ]);
    expect(nat.in("udp 192.0.2.9:5000 > 203.0.113.1:3333 payload 00040001")).toEqual([
      "next udp 192.0.2.9:5000 > 192.168.0.69:3333 payload 00040001",
    ]);
  });
});
