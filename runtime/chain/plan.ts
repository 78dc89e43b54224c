// A plan: a chain document resolved into indices, ready for lanes. Pure data, no clock, no file, no socket.

import type { Prefix } from "./protocols.ts";

export type AfxdpMode = "zero-copy" | "copy" | "generic";

/** One of the classes of traffic that a port may leave to the kernel. */
export type KernelClass =
  | { readonly etherType: number }
  | { readonly ipProto: number; readonly destinationPort?: number };

/** Values in network order of comparison; empty lists match everything. Ranges are inclusive. */
export interface Match {
  /** Bytes of the address (4 or 16) and the prefix length. */
  readonly sources: readonly { readonly address: Uint8Array; readonly prefixLength: number }[];
  readonly destinations: readonly { readonly address: Uint8Array; readonly prefixLength: number }[];
  readonly sourcePorts: readonly (readonly [number, number])[];
  readonly destinationPorts: readonly (readonly [number, number])[];
  readonly ipProtos: readonly number[];
  /** Outermost VLAN ids. */
  readonly vlans: readonly number[];
  readonly dscps: readonly number[];
  readonly etherTypes: readonly number[];
  /** Bits by Plan.labels that the flow must all have; 0 for none. */
  readonly labels: number;
}

/** Of one flow's value; the digits are its bits. */
export type ColumnType = "u8" | "u16" | "u32" | "u64" | "i32" | "i64" | "f32" | "f64";

/** What becomes of the ports' frames while the engine is dead and about to be started again. */
export type WhenDown = "pass" | "drop";

/** bridge: frames leave a port as functions leave them; routed: by the kernel's routes, to the next hop's link address. */
export type Forwarding = "bridge" | "routed";

export type FrameAccess = "none" | "read" | "write";
export type OnFault = "drop" | "bypass" | "previous";

export type Target =
  | { readonly kind: "hop"; readonly hop: number }
  | { readonly kind: "port"; readonly port: number }
  | { readonly kind: "route" }
  | { readonly kind: "none" };

/** While there is a canary: a flow stays with what runs, or goes through what is to come. */
export type Side = "stays" | "canary";

export interface PlannedPort {
  readonly name: string;
  readonly driver: "afxdp" | "pcap" | "memory";
  readonly device: string;
  /** One for each lane of the chain. */
  readonly queues: readonly number[];
  readonly mode?: AfxdpMode | undefined;
  readonly ringSize?: number | undefined;
  readonly forwarding: Forwarding;
  readonly kernel: readonly KernelClass[];
  /** It says that their link address is its own (proxy ARP, proxy neighbour discovery). */
  readonly answersFor: readonly Prefix[];
  /** Flows of different zones are different flows, whatever their addresses: 0 unless the port names a zone. */
  readonly zone: number;
}

export interface PlannedFunction {
  /** Its name in the chain. */
  readonly name: string;
  /** It is the next version of that function, and works on its counters and segments. */
  readonly canaryOf?: string | undefined;
  /** Of the flows whose events it takes; absent: all. */
  readonly side?: Side | undefined;
  /** The package. */
  readonly package: { readonly name: string; readonly version: string };
  readonly frames: FrameAccess;
  readonly memoryPages: number;
  readonly config: unknown;
  readonly onFault: OnFault;
  /** So many batches before a fault are kept at least, so that it can be reproduced exactly; 0: none. */
  readonly keepBatches: number;
  /** Branches by index, as the function sees them. */
  readonly branches: readonly string[];
  /** Per-flow fields that it owns, and those that it reads; "flow" is the host's own record. */
  readonly columns: { readonly writes: readonly WrittenColumn[]; readonly reads: readonly string[] };
  readonly segments: readonly PlannedSegment[];
  /** Bits by Plan.events. */
  readonly events: { readonly defines: number; readonly subscribes: number };
  /** It takes payload in order. */
  readonly stream: boolean;
  /** Bits by Plan.labels that it may set and clear. */
  readonly labels: number;
}

/** `export`: the flow's value is part of what is reported of it. */
export interface WrittenColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly export: boolean;
}

export interface PlannedColumn extends WrittenColumn {
  /** Of one flow's value. */
  readonly bytes: number;
  /** Index of the function that writes it. */
  readonly owner: number;
}

/** Memory that a function keeps its state in, whatever instance of it runs. */
export interface PlannedSegment {
  readonly name: string;
  readonly bytes: number;
  /** Version of what lies in it. */
  readonly layout: number;
  /** Other layouts of which nf_migrate makes this one. */
  readonly migratesFrom: readonly number[];
}

/** Seconds by FLOW_STATE_* until a flow of that protocol ends by itself. */
export interface FlowTimeouts {
  readonly tcp: readonly number[];
  readonly udp: readonly number[];
  readonly icmp: readonly number[];
  readonly sctp: readonly number[];
  readonly other: readonly number[];
  readonly tcpUnacknowledged: number;
  /** So many in a row shorten the timeout to tcpUnacknowledged. */
  readonly tcpRetransmissions: number;
}

export interface PlannedFlows {
  /** Flows of one lane at the most. */
  readonly capacity: number;
  readonly timeouts: FlowTimeouts;
  /** TCP: connections may be picked up without their handshake. */
  readonly midstream: boolean;
  /** TCP: windows are not checked. */
  readonly liberal: boolean;
  /** Which bytes count when TCP segments disagree. */
  readonly overlap: "first" | "last";
  readonly streams: PlannedStreams;
  readonly fragments: PlannedFragments;
  /** By what flows belong to one of several lanes; absent: by the pair of addresses. */
  readonly spread?: PlannedSpread;
}

/** All that a host has with others is one lane's, and so is all for a port of a shared address. */
export interface PlannedSpread {
  readonly hosts: readonly Prefix[];
  /** They are no hosts. */
  readonly shared: readonly Prefix[];
  /** Indices of ports whose own addresses are shared, too. */
  readonly sharedOf: readonly number[];
  /** The lane of a port of a shared address is (port / portsInTurn) modulo lanes; a power of two. */
  readonly portsInTurn: number;
}

/** Limits of what is buffered until payload is in order. */
export interface PlannedStreams {
  /** For all flows of a lane together. */
  readonly bytes: number;
  /** For one flow, both directions together. */
  readonly flowBytes: number;
  /** A hole older than this is given up and reported as a gap. */
  readonly holdMs: number;
}

export interface PlannedFragments {
  /** Fragmented packets that are under way at the same time. */
  readonly packets: number;
  /** Fragments of one packet. */
  readonly fragments: number;
  /** Frames that wait for their first fragment, in all and of one packet. */
  readonly held: number;
  readonly heldPerPacket: number;
  readonly timeoutMs: number;
}

export interface PlannedHop {
  readonly function: number;
  /** Index of the path that it was planned for. */
  readonly path: number;
  readonly next: Target;
  /** By the function's branch index. */
  readonly branches: readonly Target[];
}

export interface PlannedPath {
  readonly from: number;
  readonly match: Match | null;
  readonly first: Target;
  /** Of the flows that it is for; absent: all. */
  readonly side?: Side;
}

/** Hops are in topological order: a frame only ever moves to a higher index. */
export interface Plan {
  readonly chain: string;
  readonly description: string;
  readonly ports: readonly PlannedPort[];
  readonly functions: readonly PlannedFunction[];
  readonly hops: readonly PlannedHop[];
  readonly paths: readonly PlannedPath[];
  /** All that functions write, in the order of their owners. */
  readonly columns: readonly PlannedColumn[];
  /** Names by bit; those that functions define begin at EVENT_CUSTOM. "" where there is none. */
  readonly events: readonly string[];
  /** Names by bit. */
  readonly labels: readonly string[];
  /** Names by number; zone 0 has none. */
  readonly zones: readonly string[];
  readonly flows: PlannedFlows;
  readonly whenDown: WhenDown;
  /** Which flows are on the canary's side; absent: none. */
  readonly canary?: { readonly share: number; readonly match: Match | null };
}

/** Each lane has one queue of every port. */
export function countLanes({ ports }: Pick<Plan, "ports">): number {
  return ports[0]?.queues.length ?? 1;
}
