// `flows` of a chain document: how many flows a lane keeps, for how long, and what it buffers for them.

import { flowDefaults, RETRANSMISSIONS, timeoutDefaults } from "./flow-defaults.ts";
import type { FlowsDeclaration } from "./flows-schema.ts";
import type { FlowTimeouts, PlannedFlows } from "./plan.ts";
import { planSpread } from "./spread.ts";

type Timeouts = typeof timeoutDefaults;

/** With a default for all that is not said. `ports`: the chain's names, by index. */
export function planFlows(declared: FlowsDeclaration = {}, ports: readonly string[] = []): PlannedFlows {
  const { retransmissions = RETRANSMISSIONS, timeouts = {}, streams, fragments, spread, ...rest } = declared;
  return {
    ...flowDefaults,
    ...rest,
    timeouts: planTimeouts(timeouts, retransmissions),
    streams: { ...flowDefaults.streams, ...streams },
    fragments: { ...flowDefaults.fragments, ...fragments },
    ...(spread && { spread: planSpread(spread, ports) }),
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
