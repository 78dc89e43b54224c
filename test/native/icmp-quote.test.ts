import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { LineHarness } from "../support/line-harness.ts";
import { packetLine } from "../support/packet-arbitraries.ts";

interface Quote {
  readonly source: string;
  readonly destination: string;
  readonly ports: readonly [number, number];
  readonly ipProto: number;
  readonly ipVersion: number;
}

const harness = new LineHarness("quote_harness");
afterAll(() => harness.close());

const readQuote = async (frame: Uint8Array, wireLength = 0) =>
  (await harness.ask(`${wireLength} ${frame.toHex()}`)) as Quote | null;
const readLine = (line: string) => readQuote(encodePacket(line));

/** `17 1>2`, or null; the addresses are always those of the lines below. */
async function quoted(line: string): Promise<string | null> {
  const quote = await readLine(line);
  if (quote === null) return null;
  expect(quote).toMatchObject(quote.ipVersion === 4 ? ends4 : ends6);
  return `${quote.ipProto} ${quote.ports.join(">")}`;
}

const ends4 = { source: `0a000001${"0".repeat(24)}`, destination: `0a090909${"0".repeat(24)}`, ipVersion: 4 };
const ends6 = {
  source: "20010db8000000000000000000000001",
  destination: "20010db8000000000000000000000009",
  ipVersion: 6,
};

const families = [
  {
    family: "IPv4",
    errors: ["unreachable", "unreachable code 4 mtu 1400", "type 4", "redirect", "time-exceeded", "type 12"],
    others: ["echo", "echo-reply", "type 9", "type 13", "type 17"],
    error: (type: string, inner: string) => `icmp 10.0.0.254 > 10.0.0.1 ${type} payload ${inner}`,
    ends: "10.0.0.1:1 > 10.9.9.9:2",
    addresses: "10.0.0.1 > 10.9.9.9",
    icmp: "icmp",
    headerBytes: 20,
    rest: {
      kind: "unreachable",
      bytes: (units: number) => `rest 00${units.toString(16).padStart(2, "0")}0000`,
      unit: 4,
    },
  },
  {
    family: "IPv6",
    errors: ["unreachable", "too-big mtu 1280", "time-exceeded", "type 4"],
    others: ["echo", "echo-reply", "router-solicit", "neighbor-advert", "type 5", "type 100"],
    error: (type: string, inner: string) => `icmp6 2001:db8::fe > 2001:db8::1 ${type} payload ${inner}`,
    ends: "[2001:db8::1]:1 > [2001:db8::9]:2",
    addresses: "2001:db8::1 > 2001:db8::9",
    icmp: "icmp6",
    headerBytes: 40,
    rest: {
      kind: "unreachable",
      bytes: (units: number) => `rest ${units.toString(16).padStart(2, "0")}000000`,
      unit: 8,
    },
  },
] as const;

describe.each(families)(
  "an ICMP error of $family",
  ({ family, errors, others, error, ends, addresses, icmp, headerBytes, rest }) => {
    const icmpProto = family === "IPv4" ? 1 : 58;

    it.each(errors)("quotes a packet: %s", async (type) => {
      expect(await quoted(error(type, `(udp ${ends} payload "hello")`))).toBe("17 1>2");
    });

    it.each(others)("is not what %s is, though a packet is in it", async (type) => {
      expect(await readLine(error(type, `(udp ${ends})`))).toBeNull();
    });

    it.each([
      ["TCP", `tcp ${ends} syn tcp-options 020405b4`, "6 1>2"],
      ["UDP", `udp ${ends}`, "17 1>2"],
      ["SCTP", `sctp ${ends}`, "132 1>2"],
      ["an echo", `${icmp} ${addresses} echo id 77`, `${icmpProto} 77>77`],
      ["an echo reply", `${icmp} ${addresses} echo-reply id 77`, `${icmpProto} 77>77`],
      ["a query without identifier", `${icmp} ${addresses} type 200`, `${icmpProto} 0>0`],
      ["ESP", `ip ${addresses} proto esp zeros 8`, "50 0>0"],
      ["GRE", `gre ${addresses}`, "47 0>0"],
      ["nothing behind the IP header", `ip ${addresses} proto 200`, "200 0>0"],
    ])("may quote %s", async (_what, inner, expected) => {
      expect(await quoted(error("unreachable", `(${inner})`))).toBe(expected);
    });

    it("is not looked into if it quotes an error", async () => {
      expect(await readLine(error("unreachable", `(${icmp} ${addresses} time-exceeded)`))).toBeNull();
    });

    it("may quote a first fragment", async () => {
      expect(await quoted(error("time-exceeded", `(udp ${ends} udp-length 1000 frag id 5 more zeros 16)`))).toBe(
        "17 1>2",
      );
    });

    it("quotes no ports in a later fragment", async () => {
      expect(
        await readLine(error("time-exceeded", `(ip ${addresses} proto udp frag id 5 offset 24 zeros 16)`)),
      ).toBeNull();
    });

    it("does not quote the other family", async () => {
      const other = family === "IPv4" ? "udp [::1]:1 > [::2]:2" : "udp 10.0.0.1:1 > 10.9.9.9:2";
      expect(await readLine(error("unreachable", `(${other})`))).toBeNull();
    });

    it("may itself be a first fragment, or have options", async () => {
      const extra = family === "IPv4" ? "options 94040000 frag id 9 more" : "ext hop-by-hop frag id 9 more";
      const line = error("unreachable", `(udp ${ends} zeros ${family === "IPv4" ? 20 : 8})`);
      expect(await quoted(`${line} ${extra}`)).toBe("17 1>2");
    });

    it("reads no padding of the frame for the quote", async () => {
      const frame = encodePacket(error("unreachable", `(udp ${ends})`));
      const total = family === "IPv4" ? 16 : 18;
      new DataView(frame.buffer).setUint16(total, new DataView(frame.buffer).getUint16(total) - 8);
      expect(await readQuote(frame)).toBeNull();
    });

    it("quotes no more than its length field says (RFC 4884)", async () => {
      const inner = `(udp ${ends} zeros 120)`;
      const units = (bytes: number) => `${rest.kind} ${rest.bytes(bytes / rest.unit)}`;
      expect(await quoted(error(units(headerBytes + 8), inner))).toBe("17 1>2");
      expect(await readLine(error(units(headerBytes), inner))).toBeNull();
      expect(await readLine(error(units(rest.unit), inner))).toBeNull();
    });

    it("is read whether the capture kept the whole quote or only its ports, and not if it cut them", async () => {
      const whole = encodePacket(error("unreachable", `(tcp ${ends} syn)`));
      const ports = whole.length - 20 + 4;
      for (let length = 0; length <= whole.length; length += 1) {
        const quote = await readQuote(whole.slice(0, length), whole.length);
        expect([length, quote?.ports]).toEqual([length, length < ports ? undefined : [1, 2]]);
      }
    });

    it("is read if its sender quoted the ports at least, wherever it stopped", async () => {
      const inner = encodePacket(`tcp ${ends} syn`).slice(14);
      for (let length = 1; length <= inner.length; length += 1) {
        const quote = await readLine(error("unreachable", inner.slice(0, length).toHex()));
        expect([length, quote?.ports]).toEqual([length, length < headerBytes + 4 ? undefined : [1, 2]]);
      }
    });

    it("is read if its sender quoted an echo's identifier at least, wherever it stopped", async () => {
      const inner = encodePacket(`${icmp} ${addresses} echo id 77`).slice(14);
      for (let length = headerBytes; length <= inner.length; length += 1) {
        const quote = await readLine(error("unreachable", inner.slice(0, length).toHex()));
        expect([length, quote?.ports]).toEqual([length, length < headerBytes + 6 ? undefined : [77, 77]]);
      }
    });

    it("is not read if the quote's header is not sound", async () => {
      const inner = encodePacket(`udp ${ends}`).slice(14);
      inner[0] = family === "IPv4" ? 0x44 : 0x45;
      expect(await readLine(error("unreachable", inner.toHex()))).toBeNull();
    });
  },
);

describe("an ICMP error of IPv4 only", () => {
  it("may quote options", async () => {
    const options = "01".repeat(40);
    expect(
      await quoted(`icmp 10.0.0.254 > 10.0.0.1 unreachable payload (udp 10.0.0.1:1 > 10.9.9.9:2 options ${options})`),
    ).toBe("17 1>2");
  });

  it("has no length of its quote in a redirect: there the gateway's address stands", async () => {
    expect(
      await quoted("icmp 10.0.0.254 > 10.0.0.1 redirect rest 0a010203 payload (udp 10.0.0.1:1 > 10.9.9.9:2)"),
    ).toBe("17 1>2");
  });
});

describe("an ICMP error of IPv6 only", () => {
  const error = (inner: string) => `icmp6 2001:db8::fe > 2001:db8::1 unreachable payload ${inner}`;
  const headers = "ext hop-by-hop ext routing 000000000000 frag id 5 more ext destination";
  const inner = encodePacket(`udp [2001:db8::1]:1 > [2001:db8::9]:2 udp-length 900 ${headers} zeros 8`).slice(14);

  it("may quote extension headers, whole up to the ports", async () => {
    const ports = 40 + 4 * 8 + 4;
    for (let length = 40; length <= inner.length; length += 1) {
      const quote = await readLine(error(inner.slice(0, length).toHex()));
      expect([length, quote?.ports]).toEqual([length, length < ports ? undefined : [1, 2]]);
    }
  });

  it("has no length of its quote where too-big has the MTU", async () => {
    const line =
      "icmp6 2001:db8::fe > 2001:db8::1 too-big mtu 0x01000000 payload (udp [2001:db8::1]:1 > [2001:db8::9]:2)";
    expect(await quoted(line)).toBe("17 1>2");
  });
});

describe("quotes of any kind", () => {
  const around = fc.constantFrom(
    "icmp 10.0.0.254 > 10.0.0.1 unreachable",
    "icmp 10.0.0.254 > 10.0.0.1 time-exceeded",
    "icmp6 ::9 > ::1 too-big",
    "icmp6 ::9 > ::1 type 1",
  );
  const inside = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 80 }),
    packetLine.map((line) => encodePacket(line).slice(14)),
  );
  const damaged = fc
    .tuple(inside, fc.nat(), fc.nat({ max: 255 }), fc.nat())
    .map(([bytes, at, value, length]) =>
      bytes.map((byte, i) => (i === at % 60 ? value : byte)).slice(0, 1 + (length % 1400)),
    );

  it("are read within the frame, or not at all", async () => {
    await fc.assert(
      fc.asyncProperty(around, fc.oneof(inside, damaged), fc.nat(), async (line, bytes, cut) => {
        const frame = encodePacket(`${line} payload ${bytes.toHex()}`);
        const answer = await readQuote(frame.slice(0, frame.length - (cut % 4 === 0 ? cut % 60 : 0)), frame.length);
        if (answer !== null) expect(answer.ipVersion).toBe(line.startsWith("icmp6") ? 6 : 4);
      }),
      { numRuns: 3000 },
    );
  });
});
