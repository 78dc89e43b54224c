import { describe, expect, it } from "vitest";
import { afxdpObstacle, steer } from "../support/afxdp.ts";

const ETHERNET = "ffffffffffff 020000000001";
const ARP = `${ETHERNET} 0806 ${"00".repeat(28)}`;
const LLDP = `${ETHERNET} 88cc ${"00".repeat(46)}`;
const ADDRESSES6 = "00".repeat(32);

const ipv4 = (ipProto: string, rest: string, fragment = "0000", header = "45") =>
  `${header}00 0054 0001 ${fragment} 40${ipProto} 0000 0a000001 0a000002 ${rest}`;
const ipv6 = (nextHeader: string, rest: string) => `60000000 0040 ${nextHeader}40 ${ADDRESSES6} ${rest}`;
/** From port 1000. */
const ports = (destination: number) => `03e8 ${destination.toString(16).padStart(4, "0")} ${"00".repeat(16)}`;

const frame4 = (payload: string, tags = "") => `${ETHERNET} ${tags} 0800 ${payload}`;
const frame6 = (payload: string, tags = "") => `${ETHERNET} ${tags} 86dd ${payload}`;

const obstacle = afxdpObstacle();

describe.skipIf(obstacle !== null)(`the XDP program${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  it("redirects everything when nothing is left to the kernel", () => {
    expect(steer([], [ARP, LLDP, frame4(ipv4("06", ports(22)))])).toEqual(["redirected", "redirected", "redirected"]);
  });

  it("knows ethertypes, also behind one or two VLAN tags, but not behind three", () => {
    const tagged = (tags: string) => `${ETHERNET} ${tags} 0806 ${"00".repeat(28)}`;
    const frames = [
      ARP,
      LLDP,
      tagged("8100 0007"),
      tagged("88a8 0007 8100 0008"),
      tagged("8100 0007 8100 0008 8100 0009"),
      frame4(ipv4("06", ports(22))),
    ];
    expect(steer(["ether:2054"], frames)).toEqual(["left", "redirected", "left", "left", "redirected", "redirected"]);
  });

  it("knows IP protocols in both IP versions", () => {
    const frames = [
      frame4(ipv4("01", "00".repeat(8))),
      frame4(ipv4("06", ports(22))),
      frame6(ipv6("3a", "00".repeat(8))),
      frame6(ipv6("06", ports(22))),
      frame4(ipv4("01", "00".repeat(8)), "8100 0007"),
    ];
    expect(steer(["ip:1", "ip:58"], frames)).toEqual(["left", "redirected", "left", "redirected", "left"]);
  });

  it("knows the destination port of one protocol, not the source port and not another protocol's", () => {
    const answer = `0016 03e8 ${"00".repeat(16)}`;
    const frames = [
      frame4(ipv4("06", ports(22))),
      frame4(ipv4("06", ports(23))),
      frame4(ipv4("11", ports(22))),
      frame4(ipv4("06", answer)),
      frame6(ipv6("06", ports(22))),
    ];
    expect(steer(["ip:6:22"], frames)).toEqual(["left", "redirected", "redirected", "redirected", "left"]);
  });

  it("finds the transport header behind IPv4 options and IPv6 extension headers", () => {
    const hopByHop = `06 01 ${"00".repeat(14)}`;
    const authentication = `06 04 ${"00".repeat(22)}`;
    const fragment = "06 00 0001 00000001";
    const frames = [
      frame4(ipv4("06", `${"01".repeat(8)} ${ports(22)}`, "0000", "47")),
      frame6(ipv6("00", `${hopByHop} ${ports(22)}`)),
      frame6(ipv6("33", `${authentication} ${ports(22)}`)),
      frame6(ipv6("2c", `${fragment} ${ports(22)}`)),
    ];
    expect(steer(["ip:6:22"], frames)).toEqual(["left", "left", "left", "left"]);
  });

  it("does not take a later fragment's payload for ports", () => {
    const later6 = "06 00 0559 00000001";
    const frames = [
      frame4(ipv4("06", ports(22), "2000")),
      frame4(ipv4("06", ports(22), "00b9")),
      frame6(ipv6("2c", `${later6} ${ports(22)}`)),
    ];
    expect(steer(["ip:6:22"], frames)).toEqual(["left", "redirected", "redirected"]);
    expect(steer(["ip:6"], frames)).toEqual(["left", "left", "left"]);
  });

  it("redirects what is cut short or malformed", () => {
    const whole = frame4(ipv4("06", ports(22))).replaceAll(/\s/g, "");
    const upTo = (bytes: number) => whole.slice(0, 2 * bytes);
    const frames = [
      upTo(14),
      upTo(33),
      upTo(34),
      upTo(37),
      upTo(38),
      frame4(ipv4("06", ports(22), "0000", "44")),
      `${ETHERNET} 8100 00`,
      frame6(`60000000 0040 0640 ${"00".repeat(31)}`),
    ];
    expect(steer(["ether:2054", "ip:6:22"], frames)).toEqual([
      "redirected",
      "redirected",
      "redirected",
      "redirected",
      "left",
      "redirected",
      "redirected",
      "redirected",
    ]);
  });
});
