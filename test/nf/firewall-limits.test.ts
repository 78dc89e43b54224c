import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { FunctionUnderTest } from "../../runtime/testing/index.ts";
import { closeFirewalls, loadFirewall, openFirewall } from "../support/firewall-under-test.ts";

beforeAll(async () => void (await loadFirewall()));
afterEach(closeFirewalls);

const START = 1_800_000_000;
const at = (firewall: FunctionUnderTest, seconds: number, packets: string | string[]) =>
  firewall.process(packets, { time: START + seconds }).map((said) => (said.startsWith("next") ? "accept" : said));

describe("a rate limit", () => {
  it("of packets lets a burst pass, then as many as its rate, and names the rule", () => {
    const firewall = openFirewall({ rules: [{ action: "accept", rateLimit: { perSecond: 2, burst: 3 } }] });
    const packets = Array<string>(5).fill("udp 10.0.0.1:1 > 10.0.0.2:53");
    const [accept, drop] = ["accept", "drop rule-rate:1"];
    expect(at(firewall, 0, packets)).toEqual([accept, accept, accept, drop, drop]);
    expect(at(firewall, 1.1, packets)).toEqual([accept, accept, drop, drop, drop]);
    expect(at(firewall, 60, packets)).toEqual([accept, accept, accept, drop, drop]);
    expect(firewall.counters()).toMatchObject({ "packets{rule=1}": 15 });
  });

  it("of connections counts their first packets only, and an excess one may try again", () => {
    const rules = [{ action: "accept", rateLimit: { perSecond: 1, burst: 1, of: "connections" } }];
    const firewall = openFirewall({ rules });
    const first = "udp 10.0.0.1:1 > 10.0.0.2:53";
    const second = "udp 10.0.0.1:2 > 10.0.0.2:53";
    expect(at(firewall, 0, [first, first, second, first])).toEqual(["accept", "accept", "drop rule-rate:1", "accept"]);
    expect(at(firewall, 5, [second, second])).toEqual(["accept", "accept"]);
  });

  it("per source counts each address, and each /64 of IPv6, for itself", () => {
    const firewall = openFirewall({
      rules: [{ action: "accept", rateLimit: { perSecond: 1, burst: 1, per: "source" } }],
    });
    const packets = [
      "udp 10.0.0.1:1 > 10.0.0.9:53",
      "udp 10.0.0.2:1 > 10.0.0.9:53",
      "udp 10.0.0.1:2 > 10.0.0.9:53",
      "udp [2001:db8::1]:1 > [2001:db8::9]:53",
      "udp [2001:db8:0:1::1]:1 > [2001:db8::9]:53",
      "udp [2001:db8::2]:1 > [2001:db8::9]:53",
    ];
    const drop = "drop rule-rate:1";
    expect(at(firewall, 0, packets)).toEqual(["accept", "accept", drop, "accept", "accept", drop]);
    expect(at(firewall, 2, packets.slice(2, 3))).toEqual(["accept"]);
  });
});

describe("a limit of connections per source", () => {
  const rules = [{ action: "accept", connectionsPerSource: 2 }];
  const flow = (port: number, source = "10.0.0.1") => `udp ${source}:${port} > 10.0.0.9:53`;

  it("holds for each source, and lets go of connections that ended", () => {
    const firewall = openFirewall({ rules });
    const packets = [flow(1), flow(2), flow(3), flow(1), flow(1, "10.0.0.2")];
    expect(at(firewall, 0, packets)).toEqual(["accept", "accept", "drop rule-connections:1", "accept", "accept"]);
    expect(at(firewall, 1, flow(4))).toEqual(["drop rule-connections:1"]);
    // Ends are told of at the end of a turn in which frames came.
    at(firewall, 3600, flow(9, "10.0.0.3"));
    at(firewall, 3601, flow(9, "10.0.0.3"));
    expect(at(firewall, 3602, [flow(5), flow(6), flow(7)])).toEqual(["accept", "accept", "drop rule-connections:1"]);
  });

  it("counts a connection that was reset no more", () => {
    const firewall = openFirewall({ rules: [{ action: "accept", connectionsPerSource: 1 }] });
    const syn = (port: number) => `tcp 10.0.0.1:${port} > 10.0.0.9:80 syn seq 100`;
    expect(at(firewall, 0, [syn(1), syn(2)])).toEqual(["accept", "drop rule-connections:1"]);
    expect(at(firewall, 1, "tcp 10.0.0.9:80 > 10.0.0.1:1 rst ack 101")).toEqual(["accept"]);
    expect(at(firewall, 2, syn(3))).toEqual(["accept"]);
  });
});

describe("SYN cookies", () => {
  const rules = [{ action: "accept", ipProtos: ["tcp"], synCookies: { perSecond: 1, burst: 1 } }];
  const connect = (family: 4 | 6, host: number, port = 5) =>
    family === 4
      ? `tcp 10.0.0.${host}:${port} > 10.0.0.9:80 syn seq 100`
      : `tcp [2001:db8:${host}::1]:${port} > [2001:db8::9]:80 syn seq 100`;

  it.each([4, 6] as const)("let who answers them pass during a flood (IPv%i)", (family) => {
    const firewall = openFirewall({ rules });
    expect(at(firewall, 0, connect(family, 1))).toEqual(["accept"]);
    const [answer, dropped] = at(firewall, 0.01, connect(family, 2));
    expect(dropped).toBe("drop rule-challenge:1");
    const cookie = Number(/ ack (\d+)/.exec(answer as string)?.[1]);
    expect(answer).toMatch(
      family === 4 ? /^emit in tcp 10.0.0.9:80 > 10.0.0.2:5 syn / : /^emit in tcp \[2001:db8::9\]:80 > /,
    );
    expect(cookie).not.toBe(101);
    const reset = (number: number) => connect(family, 2).replace("syn seq 100", `rst seq ${number}`);
    expect(at(firewall, 0.02, reset(cookie + 1))).not.toContain("drop challenge");
    expect(at(firewall, 0.021, connect(family, 2)).at(-1)).toBe("drop rule-challenge:1");
    expect(at(firewall, 0.03, reset(cookie))).toEqual(["drop challenge"]);
    // The client sends its SYN again, and more connections of its come through now.
    expect(at(firewall, 0.04, [connect(family, 2), connect(family, 2, 6)])).toEqual(["accept", "accept"]);
    expect(at(firewall, 0.05, connect(family, 3)).at(-1)).toBe("drop rule-challenge:1");
  });
});
