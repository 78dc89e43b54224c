// What `flows` of a chain document is unless it says otherwise. Timeouts have nf_conntrack's names and defaults.

import type { PlannedFlows } from "./plan.ts";

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
