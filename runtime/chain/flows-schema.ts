// The schema of `flows` in a chain document.

import { type Static, type TInteger, type TOptional, Type } from "typebox";
import { flowDefaults, RETRANSMISSIONS, timeoutDefaults } from "./flow-defaults.ts";

const YEAR_S = 31_536_000;
const HOUR_MS = 3_600_000;

function number(value: number, minimum: number, maximum: number, description?: string) {
  return Type.Optional(Type.Integer({ minimum, maximum, default: value, ...(description && { description }) }));
}

function object<Properties extends Parameters<typeof Type.Object>[0]>(properties: Properties, description: string) {
  return Type.Optional(Type.Object(properties, { description, additionalProperties: false }));
}

function seconds<State extends string>(defaults: Readonly<Record<State, number>>, description: string) {
  const entries = Object.entries<number>(defaults).map(([state, value]) => [state, number(value, 1, YEAR_S)]);
  return object(Object.fromEntries(entries) as Record<State, TOptional<TInteger>>, description);
}

const { streams, fragments } = flowDefaults;

function prefixes(description: string) {
  const prefix = Type.String({ format: "ip-prefix", title: "a prefix such as 10.0.0.0/8 or 2001:db8::/32" });
  return Type.Array(prefix, { minItems: 1, maxItems: 64, uniqueItems: true, description });
}

export const flowsSchema = object(
  {
    capacity: number(
      flowDefaults.capacity,
      1,
      1 << 24,
      "Flows at the most. When it is full, those go first that nobody has answered.",
    ),
    timeouts: object(
      {
        tcp: seconds(timeoutDefaults.tcp, "By state; unacknowledged: for data that nobody acknowledges."),
        udp: seconds(timeoutDefaults.udp, "Before and after there was a reply."),
        icmp: seconds(timeoutDefaults.icmp, "ICMP and ICMPv6."),
        sctp: seconds(timeoutDefaults.sctp, "By state."),
        other: seconds(timeoutDefaults.other, "All other protocols."),
      },
      "Seconds without a frame until a flow ends.",
    ),
    retransmissions: number(
      RETRANSMISSIONS,
      1,
      255,
      "After so many in a row, a TCP flow's timeout is that of unacknowledged data.",
    ),
    midstream: Type.Optional(
      Type.Boolean({
        default: flowDefaults.midstream,
        description: "TCP connections may be picked up without their handshake.",
      }),
    ),
    liberal: Type.Optional(
      Type.Boolean({ default: flowDefaults.liberal, description: "TCP windows are not checked." }),
    ),
    overlap: Type.Optional(
      Type.Enum(["first", "last"], {
        default: flowDefaults.overlap,
        description: "Which bytes count when TCP segments disagree.",
      }),
    ),
    streams: object(
      {
        bytes: number(streams.bytes, 1 << 16, 1 << 27, "For all flows together."),
        flowBytes: number(streams.flowBytes, 1 << 12, 1 << 24, "For one flow, both directions together."),
        holdMs: number(streams.holdMs, 1, HOUR_MS, "After that, what is missing is given up and reported as a gap."),
      },
      "TCP payload that waits for what is missing before it.",
    ),
    fragments: object(
      {
        packets: number(fragments.packets, 1, 1 << 20, "Fragmented packets under way at the same time."),
        fragments: number(fragments.fragments, 2, 8192, "Fragments of one packet."),
        held: number(fragments.held, 0, 1 << 16, "Frames that wait for their first fragment."),
        heldPerPacket: number(fragments.heldPerPacket, 0, 8192, "The same, of one packet."),
        timeoutMs: number(fragments.timeoutMs, 1, HOUR_MS, "For all fragments of a packet to come."),
      },
      "Fragmented IP packets.",
    ),
    spread: Type.Optional(
      Type.Object(
        {
          hosts: prefixes("All that one of these hosts has with others belongs to one lane."),
          shared: Type.Optional(
            prefixes("Outside addresses that hosts share (a NAT's pool): each lane has its share of their ports."),
          ),
          sharedOf: Type.Optional(
            Type.Array(Type.String(), {
              ...{ minItems: 1, uniqueItems: true },
              description: "Ports of the chain whose devices' own addresses hosts share (masquerade).",
            }),
          ),
          portsInTurn: Type.Optional(
            Type.Enum([64, 128, 256, 512, 1024, 2048, 4096], {
              default: 64,
              description: "So many ports of a shared address are the first lane's, so many the next one's, and so on.",
            }),
          ),
        },
        {
          additionalProperties: false,
          description: "By what flows belong to one of several lanes; absent: by the pair of addresses.",
        },
      ),
    ),
  },
  "How flows are kept, in each lane.",
);

/** Timeouts in seconds. */
export type FlowsDeclaration = NonNullable<Static<typeof flowsSchema>>;
