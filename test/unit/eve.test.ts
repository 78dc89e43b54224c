import { describe, expect, it } from "vitest";
import { formatAddress, formatTimestamp, nameIpProto } from "../../runtime/telemetry/eve.ts";

describe("an EVE event", () => {
  it.each([
    [0n, "1970-01-01T00:00:00.000000+0000"],
    [999n, "1970-01-01T00:00:00.000000+0000"],
    [1_763_719_200_123_456_789n, "2025-11-21T10:00:00.123456+0000"],
    [4_294_967_295_999_999_999n, "2106-02-07T06:28:15.999999+0000"],
    [2n ** 64n - 1n, "2554-07-21T23:34:33.709551+0000"],
  ])("says when %i ns since 1970 is, in UTC and whole microseconds", (time, text) => {
    expect(formatTimestamp(time)).toBe(text);
  });

  it("has addresses as Suricata writes them", () => {
    expect(formatAddress(Uint8Array.of(192, 0, 2, 1))).toBe("192.0.2.1");
    const address = Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Uint8Array(11), 1);
    expect(formatAddress(address)).toBe("2001:0db8:0000:0000:0000:0000:0000:0001");
  });

  it("names protocols, or gives their number", () => {
    expect([6, 58, 253].map(nameIpProto)).toEqual(["TCP", "IPv6-ICMP", "253"]);
  });
});
