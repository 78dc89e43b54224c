// A firewall behind a nat says whom its caller called, and not who is inside.
import { join } from "node:path";
import { expect, it } from "vitest";
import { replayLines } from "../support/replayed-lines.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const document = `
chain: called
ports: { lan: { driver: memory }, wan: { driver: memory } }
functions:
  nat:
    use: nat@1
    config:
      outside: [wan]
      sources: []
      forwards:
        - { address: 203.0.113.1, ipProto: udp, ports: 53, to: 10.0.0.80, toPort: 5000 }
        - { address: "2001:db8:f::1", ipProto: udp, ports: 53, to: "2001:db8:a::80", toPort: 5000 }
  fw:
    use: firewall@1
    config: { rules: [{ action: reject, rejectWith: port-unreachable }] }
paths:
  - { from: wan, through: [nat, fw], to: lan }
`;

const whole = "udp-length 608 checksum 0 frag more";

it("rejects datagrams and first fragments by the address and the port that were called", () => {
  const chain = join(makeFolder({ "called.yaml": document }), "called.yaml");
  const calls = [
    "udp 192.0.2.1:7 > 203.0.113.1:53 payload 00",
    `udp 192.0.2.1:8 > 203.0.113.1:53 zeros 392 ${whole}`,
    "udp [2001:db8:b::1]:7 > [2001:db8:f::1]:53 payload 00",
    `udp [2001:db8:b::1]:8 > [2001:db8:f::1]:53 zeros 392 ${whole}`,
  ];
  const { sent } = replayLines(
    chain,
    calls.map((line) => ({ port: "wan", line })),
  );
  const quoted = sent("wan").map((line) => / unreachable .*payload \((udp \S+ > \S+)/.exec(line)?.[1]);
  expect(quoted).toEqual(calls.map((line) => line.split(" ").slice(0, 4).join(" ")));
});
