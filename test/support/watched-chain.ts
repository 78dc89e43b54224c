// A chain between two namespaces to be watched: an acl, a function that rewrites and counts, and hello.
import { join } from "node:path";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type BoxBetween, createBoxBetween } from "./box-between.ts";
import { type CountingVersion, makeCountingFunctions } from "./counting-function.ts";
import { RunningEngine } from "./running-engine.ts";
import { sendFrames } from "./send-frames.ts";
import { makeFolder } from "./temporary-folder.ts";

/** Its rules stand from line 9 on. */
export const document = `chain: watched
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions:
  fw:
    use: acl@1
    config:
      default: permit
      rules:
        - { action: deny, name: telnet, ipProtos: [tcp], destinationPorts: [23] }
        - { action: permit, ipProtos: [icmp] }
        - { action: deny, name: six, destinations: ["2001:db8:bad::/48"], ipProtos: [udp] }
  mark: { use: counting@1 }
  count: { use: hello@* }
paths:
  - { from: lan, through: [fw, mark, count], to: wan, match: { etherTypes: [arp, ipv4, ipv6] } }
  - { from: wan, through: [count, mark, fw], to: lan }
`;

/**
 * Takes one from the TTL of packets to port 7, sends those to port 99 back, too; traps at port 13, and never returns at
 * port 666.
 */
const rewriting: CountingVersion = {
  version: "1.0.0",
  step: 1,
  before: '\nimport { outbox } from "sluice/sdk";\nlet never: bool = false;',
  each: `
    if (packet.destinationPort == 7 && packet.ipVersion == 4) store<u8>(packet.start + 22, load<u8>(packet.start + 22) - 1);
    if (packet.destinationPort == 99) {
      const flow = packet.flow;
      memory.copy(outbox.reserve(packet.length), packet.start, packet.length);
      outbox.emit(0, packet.length, flow);
      if (flow !== null) outbox.timeout(flow, 5000);
    }
    if (packet.destinationPort == 13) unreachable();
    while (packet.destinationPort == 666) never = !never;`,
  manifest: { frames: "write" },
};

export interface WatchedChain {
  readonly box: BoxBetween;
  readonly engine: RunningEngine;
  readonly file: string;
  /** For `--functions`. */
  readonly functions: string;
  /** Packet text, sent by left. */
  send(...lines: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export async function startWatchedChain(): Promise<WatchedChain> {
  const box = await createBoxBetween();
  let engine: RunningEngine | undefined;
  const close = async () => {
    engine?.dispose();
    await box.close();
  };
  try {
    const functions = await makeCountingFunctions(rewriting);
    const file = join(makeFolder({ "chain.yaml": document }), "chain.yaml");
    engine = await RunningEngine.start(box.box, file, { functions });
    const send = (...lines: readonly string[]) =>
      sendFrames(
        box.left,
        "eth0",
        lines.map((line) => encodePacket(line)),
      );
    return { box, engine, file, functions, send, close };
  } catch (error) {
    await close();
    throw error;
  }
}
