// Answers that the SDK builds, as they leave; a line without `checksum` words has right checksums.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodePacket, type FunctionUnderTest, openFunction } from "../../runtime/testing/index.ts";

const source = (answer: string) => `
  import { batch, Config, reply, TCP_ACK, TCP_SYN } from "sluice/sdk";
  export { nf_abi } from "sluice/sdk/exports";
  export function nf_configure(json: string): bool { return Config.parse(json).accepted(); }
  export function nf_process(): void {
    for (let i = 0; i < batch.count; i++) {
      const packet = batch.packet(i);
      ${answer};
      packet.drop();
    }
  }`;

const manifest = JSON.stringify({
  ...{ name: "answers", version: "1.0.0", abi: 1, description: "Answers", frames: "read", memoryPages: 4 },
});

async function openAnswers(answer: string): Promise<FunctionUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-answers-"));
  try {
    writeFileSync(join(folder, "index.ts"), source(answer));
    writeFileSync(join(folder, "manifest.json"), manifest);
    return await openFunction(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

let resets: FunctionUnderTest;
let errors: FunctionUnderTest;
let segments: FunctionUnderTest;
beforeAll(async () => {
  resets = await openAnswers("reply.tcpReset(packet)");
  errors = await openAnswers("reply.unreachable(packet, 13, 1)");
  segments = await openAnswers("reply.tcp(packet, TCP_SYN | TCP_ACK, 7, 9)");
});
afterAll(() => {
  for (const each of [resets, errors, segments]) each.close();
});

const answersOf = (fn: FunctionUnderTest, line: string) =>
  fn.process(line).flatMap((said) => (said.startsWith("emit in ") ? [said.slice("emit in ".length)] : []));

describe("a TCP reset", () => {
  it("acknowledges all that a segment without ACK has, and takes the number that one with ACK expects", () => {
    expect(answersOf(resets, "tcp 10.0.0.1:5000 > 10.0.0.2:80 syn seq 99")).toEqual([
      "tcp 10.0.0.2:80 > 10.0.0.1:5000 rst ack 100 win 0 df",
    ]);
    expect(answersOf(resets, 'tcp 10.0.0.1:5000 > 10.0.0.2:80 fin seq 99 payload "four"')).toEqual([
      "tcp 10.0.0.2:80 > 10.0.0.1:5000 rst ack 104 win 0 df",
    ]);
    expect(answersOf(resets, "tcp [2001:db8::1]:5000 > [2001:db8::2]:80 ack 4000000000 seq 99")).toEqual([
      "tcp [2001:db8::2]:80 > [2001:db8::1]:5000 rst seq 4000000000 win 0",
    ]);
  });

  it("keeps VLAN tags and swaps MAC addresses", () => {
    const line = "ether 02:00:00:00:00:01 > 02:00:00:00:00:02 vlan 7 vlan 8 tcp 10.0.0.1:5000 > 10.0.0.2:80 syn";
    expect(answersOf(resets, line)).toEqual([
      "ether 02:00:00:00:00:02 > 02:00:00:00:00:01 vlan 7 vlan 8 tcp 10.0.0.2:80 > 10.0.0.1:5000 rst ack 1 win 0 df",
    ]);
  });

  it.each([
    "tcp 10.0.0.1:5000 > 10.0.0.2:80 rst",
    "tcp 10.0.0.1:5000 > 224.0.0.1:80 syn",
    "tcp 0.0.0.0:5000 > 10.0.0.2:80 syn",
    "tcp [::]:5000 > [2001:db8::2]:80 syn",
    'tcp 10.0.0.1:5000 > 10.0.0.2:80 syn frag id 7 more payload "12345678"',
    "udp 10.0.0.1:5000 > 10.0.0.2:80",
  ])("is not for %s", (line) => expect(answersOf(resets, line)).toEqual([]));
});

describe("a TCP segment", () => {
  it("has the numbers that the function gives", () => {
    expect(answersOf(segments, "tcp 10.0.0.1:5000 > 10.0.0.2:80 syn seq 99")).toEqual([
      "tcp 10.0.0.2:80 > 10.0.0.1:5000 syn seq 7 ack 9 df",
    ]);
  });
});

describe("an ICMP error", () => {
  it("quotes the packet, in its own family, with that family's code", () => {
    expect(answersOf(errors, 'udp 10.0.0.1:5000 > 10.0.0.2:53 payload "hello" pad 60')).toEqual([
      'icmp 10.0.0.2 > 10.0.0.1 unreachable code 13 df payload (udp 10.0.0.1:5000 > 10.0.0.2:53 payload "hello")',
    ]);
    expect(answersOf(errors, 'udp [2001:db8::1]:5000 > [2001:db8::2]:53 payload "hello"')).toEqual([
      'icmp6 2001:db8::2 > 2001:db8::1 unreachable code 1 payload (udp [2001:db8::1]:5000 > [2001:db8::2]:53 payload "hello")',
    ]);
  });

  it("is at most 576 bytes long, 1280 for IPv6", () => {
    const lengthOf = (line: string) => encodePacket(answersOf(errors, line)[0] as string).length - 14;
    expect(lengthOf("udp 10.0.0.1:5000 > 10.0.0.2:53 zeros 1400")).toBe(576);
    expect(lengthOf("udp [2001:db8::1]:5000 > [2001:db8::2]:53 zeros 1400")).toBe(1280);
  });

  it.each([
    "icmp 10.0.0.1 > 10.0.0.2 unreachable payload (udp 10.0.0.2:5 > 10.0.0.1:6)",
    "icmp6 2001:db8::1 > 2001:db8::2 time-exceeded payload (udp [2001:db8::2]:5 > [2001:db8::1]:6)",
    "udp 10.0.0.1:5000 > 255.255.255.255:67",
    "udp [2001:db8::1]:5000 > [ff02::1]:67",
    "arp who-has 10.0.0.2 tell 10.0.0.1",
  ])("is not for %s", (line) => expect(answersOf(errors, line)).toEqual([]));
});
