// The chain document: its one JSON Schema, for files, REST and editors alike, and the same as types.
// A `title` says what a pattern or format stands for; faults are worded with it.

import type { FlowsDeclaration } from "./flows.ts";
import { flowsSchema } from "./flows-schema.ts";
import type { AfxdpMode, OnFault, PlannedPort, WhenDown } from "./plan.ts";

/** 255 is "no port" in a record. */
const portsLimit = 255;
const functionsLimit = 256;
const pathsLimit = 1024;

const name = {
  type: "string",
  pattern: "^[A-Za-z][A-Za-z0-9_-]{0,62}$",
  title: "a name (a letter, then up to 62 letters, digits, '_' or '-')",
} as const;

const match = {
  type: "object",
  description:
    "What a frame has to look like. Every list that is given has to hold; one value of it is enough, but for labels.",
  additionalProperties: false,
  properties: {
    sources: { type: "array", items: { $ref: "#/$defs/prefix" } },
    destinations: { type: "array", items: { $ref: "#/$defs/prefix" } },
    sourcePorts: { type: "array", items: { $ref: "#/$defs/portRange" } },
    destinationPorts: { type: "array", items: { $ref: "#/$defs/portRange" } },
    ipProtos: {
      type: "array",
      items: {
        type: ["string", "integer"],
        format: "ip-proto",
        title: "an IP protocol such as tcp, udp, icmp, icmpv6, sctp or 47",
        minimum: 0,
        maximum: 255,
      },
    },
    vlans: {
      type: "array",
      description: "VLAN ids of the outermost tag.",
      items: { type: "integer", minimum: 0, maximum: 4094 },
    },
    dscps: {
      type: "array",
      items: {
        type: ["string", "integer"],
        format: "dscp",
        title: "a DSCP such as ef, af41, cs6 or 46",
        minimum: 0,
        maximum: 63,
      },
    },
    etherTypes: {
      type: "array",
      items: {
        type: ["string", "integer"],
        format: "ether-type",
        title: "an ethertype such as ipv4, arp or 0x88cc",
        minimum: 0x600,
        maximum: 0xffff,
      },
    },
    labels: {
      type: "array",
      description: "Labels of the frame's flow: it must have all of them.",
      items: { type: "string" },
    },
  },
} as const;

const port = {
  type: "object",
  additionalProperties: false,
  properties: {
    device: { type: "string", minLength: 1, description: "The network device." },
    driver: {
      enum: ["afxdp", "pcap", "memory"],
      default: "afxdp",
      description: "afxdp: a network device; pcap: files, in replay; memory: tests and benches.",
    },
    queues: {
      type: "array",
      items: { type: "integer", minimum: 0, maximum: 1023 },
      minItems: 1,
      uniqueItems: true,
      default: [0],
      description: "Queues of the device.",
    },
    mode: {
      enum: ["zero-copy", "copy", "generic"],
      description: "Refuses every other mode; absent, the best one that works is taken.",
    },
    ringSize: {
      enum: [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384],
      description: "Descriptors in each ring.",
    },
    kernel: {
      type: "array",
      maxItems: 64,
      description: "Traffic that is left to the kernel instead of entering the chain.",
      items: {
        type: ["string", "integer"],
        format: "kernel-class",
        title: "a class of traffic such as arp, lldp, 0x88cc, icmp, ip:89, tcp:22 or udp:68",
        minimum: 0x600,
        maximum: 0xffff,
      },
    },
    zone: {
      $ref: "#/$defs/name",
      description: "Ports of different zones may use the same addresses: their flows are kept apart.",
    },
  },
  if: { properties: { driver: { const: "afxdp" } } },
  // biome-ignore lint/suspicious/noThenProperty: the JSON Schema keyword
  then: {
    required: ["device"],
    properties: {
      device: {
        pattern: "^(?!\\.{1,2}$)[^\\s/:]{1,15}$",
        title: "a network device (1 to 15 characters, no space, '/' or ':')",
      },
    },
  },
} as const;

const hops = {
  through: { type: "array", items: { type: "string" }, description: "Functions, in order." },
  to: { type: "string", description: "A port, or none: the frames are inspected and consumed." },
} as const;

export const chainSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  $id: "urn:sluice:chain",
  title: "Sluice chain",
  type: "object",
  additionalProperties: false,
  required: ["chain", "ports", "paths"],
  properties: {
    chain: {
      type: "string",
      pattern: "^[a-z][a-z0-9-]{0,62}$",
      title: "a chain name (a lower-case letter, then up to 62 lower-case letters, digits or '-')",
    },
    description: { type: "string" },
    ports: {
      type: "object",
      description: "Where frames enter and leave.",
      minProperties: 1,
      maxProperties: portsLimit,
      propertyNames: { allOf: [{ $ref: "#/$defs/name" }, { not: { const: "none" } }] },
      additionalProperties: { $ref: "#/$defs/port" },
    },
    functions: {
      type: "object",
      description: "Network functions with their configuration; one instance each, wherever they stand.",
      maxProperties: functionsLimit,
      propertyNames: { $ref: "#/$defs/name" },
      additionalProperties: { $ref: "#/$defs/function" },
    },
    paths: {
      type: "array",
      description: "How frames go through the chain. The first path that matches takes the frame.",
      minItems: 1,
      maxItems: pathsLimit,
      items: { $ref: "#/$defs/path" },
    },
    branches: {
      type: "object",
      description: "By function and branch: where frames go that the function sends aside.",
      additionalProperties: {
        type: "object",
        propertyNames: { $ref: "#/$defs/name" },
        additionalProperties: { $ref: "#/$defs/branch" },
      },
    },
    flows: flowsSchema,
    whenDown: {
      enum: ["pass", "drop"],
      default: "pass",
      description:
        "What becomes of the ports' frames while the engine is dead and about to be started again: pass to the kernel, or drop. What `kernel` names is left to the kernel all the same.",
    },
  },
  $defs: {
    name,
    port,
    function: {
      type: "object",
      additionalProperties: false,
      required: ["use"],
      properties: {
        use: {
          type: "string",
          format: "function-reference",
          title: "name@range, such as firewall@1 or ids@*",
          description: "A function and a range of versions (semver).",
        },
        config: {
          type: "object",
          description: 'A string "@path" is replaced by that file\'s text; "@@" stands for one "@".',
        },
        onFault: {
          enum: ["drop", "bypass", "previous"],
          default: "drop",
          description: "What becomes of the frames that the function fails on.",
        },
        keepBatches: {
          type: "integer",
          minimum: 0,
          maximum: 4096,
          default: 0,
          description: "So many batches before a fault are kept at least, so that it can be reproduced exactly.",
        },
      },
    },
    path: {
      type: "object",
      additionalProperties: false,
      required: ["from", "to"],
      properties: { from: { type: "string" }, match: { $ref: "#/$defs/match" }, ...hops },
    },
    branch: { type: "object", additionalProperties: false, required: ["to"], properties: hops },
    match,
    prefix: { type: "string", format: "ip-prefix", title: "a prefix such as 10.0.0.0/8 or 2001:db8::/32" },
    portRange: {
      type: ["string", "integer"],
      format: "port-range",
      title: "a port or a range of ports such as 80 or 1000-2000",
      minimum: 0,
      maximum: 65535,
    },
  },
} as const;

export interface PortDeclaration {
  readonly device?: string;
  readonly driver?: PlannedPort["driver"];
  readonly queues?: readonly number[];
  readonly mode?: AfxdpMode;
  readonly ringSize?: number;
  readonly kernel?: readonly (string | number)[];
  readonly zone?: string;
}

export interface FunctionDeclaration {
  readonly use: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly onFault?: OnFault;
  readonly keepBatches?: number;
}

export interface MatchDeclaration {
  readonly sources?: readonly string[];
  readonly destinations?: readonly string[];
  readonly sourcePorts?: readonly (string | number)[];
  readonly destinationPorts?: readonly (string | number)[];
  readonly ipProtos?: readonly (string | number)[];
  readonly vlans?: readonly number[];
  readonly dscps?: readonly (string | number)[];
  readonly etherTypes?: readonly (string | number)[];
  readonly labels?: readonly string[];
}

export interface BranchDeclaration {
  readonly through?: readonly string[];
  readonly to: string;
}

export interface PathDeclaration extends BranchDeclaration {
  readonly from: string;
  readonly match?: MatchDeclaration;
}

export interface ChainDocument {
  readonly chain: string;
  readonly description?: string;
  readonly ports: Readonly<Record<string, PortDeclaration>>;
  readonly functions?: Readonly<Record<string, FunctionDeclaration>>;
  readonly paths: readonly PathDeclaration[];
  /** By function, then by the name of the branch. */
  readonly branches?: Readonly<Record<string, Readonly<Record<string, BranchDeclaration>>>>;
  readonly flows?: FlowsDeclaration;
  readonly whenDown?: WhenDown;
}
