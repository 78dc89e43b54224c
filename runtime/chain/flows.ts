// `flows` of a chain document: how many flows a lane keeps, for how long, and what it buffers for them.
// Timeouts have nf_conntrack's names and defaults.

import type { FlowTimeouts, PlannedFlows } from "./plan.ts";

export const flowDefaults = {
  capacity: 65_536,
  midstream: true,
  liberal: false,
  overlap: "first" as PlannedFlows["overlap"],
  streams: { bytes: 1 << 24, flowBytes: 1 << 18, holdMs: 2000 },
  fragments: { packets: 4096, fragments: 64, held: 1024, heldPerPacket: 16, timeoutMs: 30_000 },
};

/** TCP retransmissions in a row that shorten a flow's timeout to that of unacknowledged data. */
export const RETRANSMISSIONS = 3;

/** Seconds. */
export const timeoutDefaults = {
  tcp: {
    syn_sent: 120,
    syn_recv: 60,
    established: 432_000,
    fin_wait: 120,
    close_wait: 60,
    last_ack: 30,
    time_wait: 120,
    close: 10,
    syn_sent2: 120,
    unacknowledged: 300,
  },
  udp: { unreplied: 30, replied: 120 },
  icmp: { unreplied: 30, replied: 30 },
  sctp: {
    cookie_wait: 3,
    cookie_echoed: 3,
    established: 210,
    shutdown_sent: 3,
    shutdown_ack_sent: 3,
    closed: 10,
    heartbeat_sent: 30,
  },
  other: { unreplied: 600, replied: 600 },
};

type Timeouts = typeof timeoutDefaults;

export interface FlowsDeclaration extends Partial<Omit<PlannedFlows, "timeouts" | "streams" | "fragments">> {
  readonly retransmissions?: number;
  readonly timeouts?: { readonly [Protocol in keyof Timeouts]?: Partial<Timeouts[Protocol]> };
  readonly streams?: Partial<PlannedFlows["streams"]>;
  readonly fragments?: Partial<PlannedFlows["fragments"]>;
}

/** With a default for all that is not said. */
export function planFlows(declared: FlowsDeclaration = {}): PlannedFlows {
  const { retransmissions = RETRANSMISSIONS, timeouts = {}, streams, fragments, ...rest } = declared;
  return {
    ...flowDefaults,
    ...rest,
    timeouts: planTimeouts(timeouts, retransmissions),
    streams: { ...flowDefaults.streams, ...streams },
    fragments: { ...flowDefaults.fragments, ...fragments },
  };
}

type DeclaredTimeouts = NonNullable<FlowsDeclaration["timeouts"]>;

function planTimeouts(declared: DeclaredTimeouts, tcpRetransmissions: number): FlowTimeouts {
  const { unacknowledged, ...tcp } = { ...timeoutDefaults.tcp, ...declared.tcp };
  return {
    tcp: orderTcp(tcp),
    udp: orderReplies({ ...timeoutDefaults.udp, ...declared.udp }),
    icmp: orderReplies({ ...timeoutDefaults.icmp, ...declared.icmp }),
    sctp: orderSctp({ ...timeoutDefaults.sctp, ...declared.sctp }),
    other: orderReplies({ ...timeoutDefaults.other, ...declared.other }),
    tcpUnacknowledged: unacknowledged,
    tcpRetransmissions,
  };
}

// By FLOW_STATE_*: none, new, established, SYN sent, SYN received, FIN wait, close wait, last ACK, time wait, closed,
// SYN sent by both.

/** A flow of which nothing but invalid frames was seen is as good as closed. */
function orderTcp(tcp: Omit<Timeouts["tcp"], "unacknowledged">): number[] {
  return [
    ...[tcp.close, tcp.close, tcp.established, tcp.syn_sent, tcp.syn_recv, tcp.fin_wait, tcp.close_wait],
    ...[tcp.last_ack, tcp.time_wait, tcp.close, tcp.syn_sent2],
  ];
}

/** Its states have the names of TCP's. */
function orderSctp(sctp: Timeouts["sctp"]): number[] {
  return [
    ...[sctp.heartbeat_sent, sctp.heartbeat_sent, sctp.established, sctp.cookie_wait, sctp.cookie_echoed],
    ...[sctp.shutdown_sent, sctp.shutdown_sent, sctp.shutdown_ack_sent, sctp.closed, sctp.closed, sctp.cookie_wait],
  ];
}

function orderReplies({ unreplied, replied }: Timeouts["udp"]): number[] {
  return [unreplied, unreplied, replied];
}
