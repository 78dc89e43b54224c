// A plan: a chain document resolved into indices, ready for lanes. Pure data, no clock, no file, no socket.

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
}

export type FrameAccess = "none" | "read" | "write";
export type OnFault = "drop" | "bypass" | "previous";

export type Target =
  | { readonly kind: "hop"; readonly hop: number }
  | { readonly kind: "port"; readonly port: number }
  | { readonly kind: "none" };

export interface PlannedPort {
  readonly name: string;
  readonly driver: "afxdp" | "pcap" | "memory";
  readonly device: string;
  readonly queues: readonly number[];
  readonly mode?: AfxdpMode | undefined;
  readonly ringSize?: number | undefined;
  readonly kernel: readonly KernelClass[];
}

export interface PlannedFunction {
  /** Its name in the chain. */
  readonly name: string;
  /** The package. */
  readonly package: { readonly name: string; readonly version: string };
  readonly frames: FrameAccess;
  readonly memoryPages: number;
  readonly config: unknown;
  readonly onFault: OnFault;
  /** Branches by index, as the function sees them. */
  readonly branches: readonly string[];
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
}

/** Hops are in topological order: a frame only ever moves to a higher index. */
export interface Plan {
  readonly chain: string;
  readonly description: string;
  readonly ports: readonly PlannedPort[];
  readonly functions: readonly PlannedFunction[];
  readonly hops: readonly PlannedHop[];
  readonly paths: readonly PlannedPath[];
}
