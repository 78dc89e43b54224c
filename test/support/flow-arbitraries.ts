// What may happen to a flow engine, in lines of packet text: few endpoints, so that flows collide, reply and come again.
import fc from "fast-check";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import type { FlowEnd, FlowModel, FrameOutcome, ReplyTuple } from "./flow-model.ts";

export type FlowStep = { readonly waitMs: number } & (
  | { readonly kind: "frame"; readonly port: number; readonly line: string }
  /** `nth`: of the flows that live, counted from 0 and modulo their number. */
  | { readonly kind: "bind"; readonly nth: number; readonly reply: ReplyTuple }
  | { readonly kind: "expire" }
);

interface Family {
  readonly hosts: readonly string[];
  readonly endpoint: (host: string, port: number) => string;
  readonly hex: (host: string) => string;
  readonly icmp: string;
}

const families: readonly Family[] = [
  {
    hosts: ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
    endpoint: (host, port) => `${host}:${port}`,
    hex: (host) => `0a00000${host.at(-1)}`,
    icmp: "icmp",
  },
  {
    hosts: ["2001:db8::1", "2001:db8::2", "2001:db8::3"],
    endpoint: (host, port) => `[${host}]:${port}`,
    hex: (host) => `20010db8${"0".repeat(23)}${host.at(-1)}`,
    icmp: "icmp6",
  },
];

const ports = [1, 1, 1, 2];
const identifications = [7, 8];

/** A source and a destination, with ports. One conversation is had more often than all others. */
const ends = fc.constantFrom(...families).chain((family) => {
  const [client, server] = family.hosts as [string, string];
  const usual = fc.constantFrom<[string, string]>([client, server], [server, client]);
  const any = fc.tuple(fc.constantFrom(...family.hosts), fc.constantFrom(...family.hosts));
  return fc
    .tuple(
      fc.oneof({ weight: 3, arbitrary: usual }, { weight: 1, arbitrary: any }),
      fc.constantFrom(...ports),
      fc.constantFrom(...ports),
    )
    .map(([[from, to], fromPort, toPort]) => ({ family, from, to, fromPort, toPort }));
});
type Ends = typeof ends extends fc.Arbitrary<infer T> ? T : never;

const withPorts = ({ family, from, to, fromPort, toPort }: Ends) =>
  `${family.endpoint(from, fromPort)} > ${family.endpoint(to, toPort)}`;
const withoutPorts = ({ from, to }: Ends) => `${from} > ${to}`;

const udp = ends.map((e) => `udp ${withPorts(e)} zeros 8`);
/** With a DATA chunk: one that belongs to no association is picked up. */
const sctp = ends.map((e) => `sctp ${withPorts(e)} payload 00030004`);
const echo = fc
  .tuple(ends, fc.constantFrom("echo", "echo-reply"), fc.constantFrom(...identifications))
  .map(([e, message, id]) => `${e.family.icmp} ${withoutPorts(e)} ${message} id ${id}`);
const other = fc
  .tuple(ends, fc.constantFrom("esp", "ospf"))
  .map(([e, proto]) => `ip ${withoutPorts(e)} proto ${proto} zeros 4`);

/** Flags and numbers as connections have them whose numbers begin with 0, and with others in between. */
const tcpFlags = fc.constantFrom(
  "syn",
  "syn seq 7",
  "syn ack 1",
  "syn ack 8",
  "syn seq 5 ack 8",
  "seq 1 ack 1",
  "seq 1 ack 1",
  "seq 1 psh ack 1",
  "seq 1 ack 2",
  "seq 1 fin ack 1",
  "seq 1 fin ack 2",
  "seq 2 ack 1",
  "seq 2 ack 2",
  "seq 1 rst",
  "rst ack 1",
  "fin",
);
const tcp = fc.tuple(ends, tcpFlags).map(([e, flags]) => `tcp ${withPorts(e)} ${flags}`);

/** Segments of one connection, in any order. */
const scramble = fc
  .tuple(ends, fc.array(fc.tuple(fc.boolean(), tcpFlags), { minLength: 2, maxLength: 8 }))
  .map(([e, segments]) => {
    const back = { ...e, from: e.to, to: e.from, fromPort: e.toPort, toPort: e.fromPort };
    return segments.map(([isBack, flags]) => `tcp ${withPorts(isBack ? back : e)} ${flags}`);
  });

type Segment = readonly ["there" | "back", flags: string];
const openings: readonly (readonly Segment[])[] = [
  [
    ["there", "syn"],
    ["back", "syn ack 1"],
    ["there", "seq 1 ack 1"],
  ],
  [
    ["there", "syn"],
    ["back", "syn"],
    ["back", "syn ack 1"],
    ["there", "seq 1 ack 1"],
  ],
];
const closings: readonly (readonly Segment[])[] = [
  [
    ["there", "seq 1 fin ack 1"],
    ["back", "seq 1 ack 2"],
    ["back", "seq 1 fin ack 2"],
    ["there", "seq 2 ack 2"],
  ],
  [
    ["back", "seq 1 fin ack 1"],
    ["there", "seq 1 fin ack 2"],
    ["back", "seq 2 ack 2"],
  ],
  [["back", "seq 1 rst"]],
];

/** A connection as it should be, as far as it gets, so that flows reach all states. */
const connection = fc
  .tuple(ends, fc.constantFrom(...openings), fc.constantFrom(...closings), fc.integer({ min: 1, max: 8 }))
  .map(([e, opening, closing, length]) => {
    const back = { ...e, from: e.to, to: e.from, fromPort: e.toPort, toPort: e.fromPort };
    const segments = [...opening, ...closing].slice(0, length);
    return segments.map(([way, flags]) => `tcp ${withPorts(way === "there" ? e : back)} ${flags}`);
  });

/** Pieces of UDP packets that fit together, overlap, or are alone: with few identifications, all of it happens. */
const pieces = [
  ["", "more zeros 16"],
  ["24", "more zeros 8"],
  ["32", "zeros 8"],
  ["24", "zeros 16"],
] as const;
const fragment = fc
  .tuple(ends, fc.constantFrom(...identifications), fc.constantFrom(...pieces))
  .map(([e, id, [offset, rest]]) =>
    offset === ""
      ? `udp ${withPorts(e)} udp-length 40 frag id ${id} ${rest}`
      : `ip ${withoutPorts(e)} proto udp frag id ${id} offset ${offset} ${rest}`,
  );
/** All fragments of a packet, in any order. */
const fragments = fc
  .tuple(ends, fc.constantFrom(...identifications))
  .chain(([e, id]) =>
    fc.shuffledSubarray(
      [
        `udp ${withPorts(e)} udp-length 40 frag id ${id} more zeros 16`,
        `ip ${withoutPorts(e)} proto udp frag id ${id} offset 24 more zeros 8`,
        `ip ${withoutPorts(e)} proto udp frag id ${id} offset 32 zeros 8`,
      ],
      { minLength: 3 },
    ),
  );

/** An error from one of the hosts, or a router, about a packet that may have been sent or not. */
const icmpError = fc
  .tuple(ends, fc.constantFrom("unreachable", "time-exceeded"), fc.constantFrom("udp", "tcp"), fc.boolean())
  .map(([e, message, proto, fromRouter]) => {
    const sender = fromRouter ? e.to : e.from;
    return `${e.family.icmp} ${sender} > ${e.from} ${message} payload (${proto} ${withPorts(e)})`;
  });

const vlan = fc.constantFrom("", "", "", "", "", "", "vlan 5 ", "vlan 5 vlan 6 ");
const ingress = fc.constantFrom(0, 1, 0, 1, 0, 1, 0, 2);

/** Mostly at once; now and then long enough for a timeout, right at it or beyond. */
const waitMs = fc.oneof(
  { weight: 30, arbitrary: fc.nat({ max: 50 }) },
  { weight: 2, arbitrary: fc.constantFrom(100, 1000, 3000, 10_000, 29_999, 30_000, 60_000, 120_000) },
  { weight: 1, arbitrary: fc.constantFrom(210_000, 600_000, 3_600_000) },
);

const frames = fc.oneof(
  { weight: 3, arbitrary: udp.map((line) => [line]) },
  { weight: 3, arbitrary: tcp.map((line) => [line]) },
  { weight: 2, arbitrary: connection },
  { weight: 1, arbitrary: scramble },
  { weight: 1, arbitrary: sctp.map((line) => [line]) },
  { weight: 2, arbitrary: echo.map((line) => [line]) },
  { weight: 1, arbitrary: other.map((line) => [line]) },
  { weight: 2, arbitrary: fragment.map((line) => [line]) },
  { weight: 2, arbitrary: fragments },
  { weight: 2, arbitrary: icmpError.map((line) => [line]) },
);

const frameSteps = fc
  .tuple(frames, vlan, ingress, waitMs)
  .map(([lines, tags, port, wait]) =>
    lines.map((line, index): FlowStep => ({ kind: "frame", port, line: tags + line, waitMs: index === 0 ? wait : 1 })),
  );

const bindSteps = fc.tuple(ends, fc.nat({ max: 20 })).map(([e, nth]): FlowStep[] => {
  const source = { address: e.family.hex(e.from), port: e.fromPort };
  const destination = { address: e.family.hex(e.to), port: e.toPort };
  return [{ kind: "bind", nth, reply: { source, destination }, waitMs: 0 }];
});

const expireSteps = waitMs.map((wait): FlowStep[] => [{ kind: "expire", waitMs: wait }]);

/** Frames, second tuples and time that passes, `maxLength` groups of them at the most. */
export const flowSteps = (maxLength = 60): fc.Arbitrary<FlowStep[]> =>
  fc
    .array(
      fc.oneof(
        { weight: 12, arbitrary: frameSteps },
        { weight: 1, arbitrary: bindSteps },
        { weight: 1, arbitrary: expireSteps },
      ),
      { minLength: 1, maxLength, size: "max" },
    )
    .map((groups) => groups.flat());

export interface PlayedStep {
  readonly timeNs: bigint;
  readonly step: FlowStep;
  /** Of a frame. */
  readonly outcome?: FrameOutcome;
  /** Of a second tuple: the flow, 0 if none lives; whether it can be asked for; and whether it was bound. */
  readonly bound?: { readonly flow: number; readonly isAsked: boolean; readonly done: boolean };
  /** Fragments that waited in vain, by the numbers of their frames. */
  readonly abandoned: readonly number[];
  /** By time; for a frame, all that ended before it or because of it. */
  readonly ended: readonly FlowEnd[];
}

const encoded = new Map<string, Uint8Array>();

/** Of a step's line; there are not so many different ones. */
export function frameOf(line: string): Uint8Array {
  const known = encoded.get(line);
  if (known !== undefined) return known;
  const bytes = encodePacket(line);
  encoded.set(line, bytes);
  return bytes;
}

const START_NS = 1_000_000_000_000_000_000n;

/** What the model makes of the steps. */
export function playSteps(model: FlowModel, steps: readonly FlowStep[], startNs = START_NS): PlayedStep[] {
  let timeNs = startNs;
  const told = new Set<number>();
  return steps.map((step): PlayedStep => {
    timeNs += BigInt(step.waitMs) * 1_000_000n;
    const abandoned = model.expireFragments(timeNs);
    if (step.kind === "expire") return { timeNs, step, abandoned, ended: model.expire(timeNs) };
    if (step.kind === "frame") {
      const outcome = model.receive(step.port, frameOf(step.line), timeNs);
      for (const { flow } of [outcome, ...outcome.released]) told.add(flow);
      const ended = [...outcome.ended, ...outcome.released.flatMap(({ ended }) => ended)];
      return { timeNs, step, outcome, abandoned, ended };
    }
    const ended = model.expire(timeNs);
    const known = model.flows[step.nth % Math.max(1, model.flows.length)];
    const flow = known?.flow ?? 0;
    // Nobody can say addresses of the other IP version, or name a flow that only told of others.
    const isAsked = told.has(flow) && known?.conversation.source.address.length === step.reply.source.address.length;
    return { timeNs, step, abandoned, bound: { flow, isAsked, done: isAsked && model.bind(flow, step.reply) }, ended };
  });
}
