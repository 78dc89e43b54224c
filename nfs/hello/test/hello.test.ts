import { describe, expect, it } from "vitest";
import { openFunction } from "../../../runtime/testing/index.ts";

describe("hello", () => {
  it("counts packets by address family and lets all go their way", async () => {
    const hello = await openFunction(`${import.meta.dirname}/..`);
    const packets = [
      "udp 10.0.0.1:5000 > 10.0.0.2:53",
      "udp [2001:db8::1]:5000 > [2001:db8::2]:53",
      "arp who-has 10.0.0.2 tell 10.0.0.1",
      "vlan 7 tcp 10.0.0.1:5000 > 10.0.0.2:80 syn",
    ];
    expect(hello.process(packets)).toEqual(packets.map((packet) => `next ${packet}`));
    expect(hello.counters()).toEqual({
      "packets{family=ipv4}": 2,
      "packets{family=ipv6}": 1,
      "packets{family=other}": 1,
      // 42 of UDP over IPv4, 62 over IPv6, 42 of ARP, 58 of TCP with a tag.
      bytes: 42 + 62 + 42 + 58,
    });
    hello.close();
  });
});
