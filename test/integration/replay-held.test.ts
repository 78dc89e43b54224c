// A replay in which more fragments wait for their first one than a turn has frames.
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { replayLines, type Step } from "../support/replayed-lines.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const POOL = "203.0.113.1";
const HOSTS = [1, 2, 3, 4, 5, 6, 7, 8];
const HELD = 1000;

const document = `chain: office
ports: { lan: { device: any }, wan: { device: any } }
functions:
  nat:
    use: nat@1
    config:
      outside: [wan]
      sources: [{ from: [10.0.0.0/8], pool: [${POOL}], filtering: endpoint-independent }]
paths:
  - { from: lan, through: [nat], to: wan }
  - { from: wan, through: [nat], to: lan }
flows: { spread: { hosts: [10.0.0.0/8], shared: [${POOL}] } }
`;

describe.each([1, 2])("a replay on %i lanes, while a thousand fragments wait", (lanes) => {
  it("goes on to its end, with what hosts of different lanes have with each other", () => {
    const chain = join(makeFolder({ "chain.yaml": document }), "chain.yaml");
    const replay = (steps: readonly Step[]) => replayLines(chain, steps, "--lanes", String(lanes));
    const hello = HOSTS.map((host): Step => ({ port: "lan", line: `udp 10.0.0.${host}:5000 > 192.0.2.${host}:53` }));
    const endpoints = replay(hello)
      .sent("wan")
      .map((line) => line.split(" ")[1] as string);
    const waiting = Array.from(
      { length: HELD },
      (_, id): Step => ({ port: "wan", line: `ip 192.0.2.99 > ${POOL} proto udp frag id ${id} offset 24 zeros 16` }),
    );
    const calls = HOSTS.flatMap((host) =>
      endpoints.map((endpoint): Step => ({ port: "lan", line: `udp 10.0.0.${host}:5000 > ${endpoint}` })),
    );
    const { verdicts, sent } = replay([...hello, ...waiting, ...calls]);
    const count = (verdict: string) => verdicts.filter((each) => each.verdict === verdict).length;
    expect({ forward: count("forward"), drop: count("drop") }).toEqual({
      forward: hello.length + calls.length,
      drop: HELD,
    });
    expect(sent("lan")).toHaveLength(calls.length);
  }, 60_000);
});
