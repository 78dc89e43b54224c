// The chain document: one schema, for files, REST and editors alike, and the types that follow from it.
// A `title` says what a pattern or format stands for; faults are worded with it.

import { type Static, type TArrayOptions, type TObjectOptions, type TSchema, Type } from "typebox";
import { flowsSchema } from "./flows-schema.ts";
import { telemetrySchema } from "./telemetry-schema.ts";

/** 255 is "no port" in a record. */
const portsLimit = 255;
const functionsLimit = 256;
const pathsLimit = 1024;

const nameForm = {
  pattern: "^[A-Za-z][A-Za-z0-9_-]{0,62}$",
  title: "a name (a letter, then up to 62 letters, digits, '_' or '-')",
};
const name = Type.String(nameForm);

/** Keys are names of the document's own choosing. */
function mapOf<Value extends TSchema>(value: Value, options: TObjectOptions = {}) {
  return Type.Record(Type.String(), value, { propertyNames: name, ...options });
}

function listOf<Item extends TSchema>(item: Item, options: TArrayOptions = {}) {
  return Type.Optional(Type.Array(item, options));
}

/** A number, or a word that stands for one. */
function code(format: string, title: string, minimum: number, maximum: number) {
  return Type.Unsafe<string | number>({ type: ["string", "integer"], format, title, minimum, maximum });
}

const prefix = Type.String({ format: "ip-prefix", title: "a prefix such as 10.0.0.0/8 or 2001:db8::/32" });
const portRange = code("port-range", "a port or a range of ports such as 80 or 1000-2000", 0, 65535);
const ipProto = code("ip-proto", "an IP protocol such as tcp, udp, icmp, icmpv6, sctp or 47", 0, 255);
const dscp = code("dscp", "a DSCP such as ef, af41, cs6 or 46", 0, 63);
const etherType = code("ether-type", "an ethertype such as ipv4, arp or 0x88cc", 0x600, 0xffff);

const closed = { additionalProperties: false };

export const matchSchema = Type.Object(
  {
    sources: listOf(prefix),
    destinations: listOf(prefix),
    sourcePorts: listOf(portRange),
    destinationPorts: listOf(portRange),
    ipProtos: listOf(ipProto),
    vlans: listOf(Type.Integer({ minimum: 0, maximum: 4094 }), { description: "VLAN ids of the outermost tag." }),
    dscps: listOf(dscp),
    etherTypes: listOf(etherType),
    labels: listOf(Type.String(), { description: "Labels of the frame's flow: it must have all of them." }),
  },
  {
    ...closed,
    description:
      "What a frame has to look like. Every list that is given has to hold; one value of it is enough, but for labels.",
  },
);

const portSchema = Type.Object(
  {
    device: Type.Optional(Type.String({ minLength: 1, description: "The network device." })),
    driver: Type.Optional(
      Type.Enum(["afxdp", "pcap", "memory"], {
        default: "afxdp",
        description: "afxdp: a network device; pcap: files, in replay; memory: tests and benches.",
      }),
    ),
    queues: listOf(Type.Integer({ minimum: 0, maximum: 1023 }), {
      minItems: 1,
      uniqueItems: true,
      default: [0],
      description: "Queues of the device.",
    }),
    mode: Type.Optional(
      Type.Enum(["zero-copy", "copy", "generic"], {
        description: "Refuses every other mode; absent, the best one that works is taken.",
      }),
    ),
    ringSize: Type.Optional(
      Type.Enum([64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384], { description: "Descriptors in each ring." }),
    ),
    forwarding: Type.Optional(
      Type.Enum(["bridge", "routed"], {
        default: "bridge",
        description:
          "bridge: all of the device's frames go through the chain, and leave the port as functions leave them. routed: the kernel has addresses and routes; unicast packets go through the chain and leave the port by the kernel's routes, everything else stays with the kernel.",
      }),
    ),
    kernel: listOf(
      code(
        "kernel-class",
        "a class of traffic such as arp, lldp, 0x88cc, icmp, ip:89, tcp:22 or udp:68",
        0x600,
        0xffff,
      ),
      { maxItems: 64, description: "Traffic that is left to the kernel instead of entering the chain." },
    ),
    answersFor: listOf(prefix, {
      minItems: 1,
      maxItems: 64,
      uniqueItems: true,
      description:
        "Addresses of others for which the port answers with its own link address (proxy ARP and proxy neighbour discovery), such as those of a NAT's pool. What is sent there because of that leaves the chain for the host that has the destination by then. With `forwarding: bridge` only.",
    }),
    zone: Type.Optional(
      Type.String({
        ...nameForm,
        description: "Ports of different zones may use the same addresses: their flows are kept apart.",
      }),
    ),
  },
  {
    ...closed,
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
  },
);

const functionSchema = Type.Object(
  {
    use: Type.String({
      format: "function-reference",
      title: "name@range, such as firewall@1 or ids@*",
      description: "A function and a range of versions (semver).",
    }),
    config: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({
        type: "object",
        description: 'A string "@path" is replaced by that file\'s text; "@@" stands for one "@".',
      }),
    ),
    onFault: Type.Optional(
      Type.Enum(["drop", "bypass", "previous"], {
        default: "drop",
        description: "What becomes of the frames that the function fails on.",
      }),
    ),
    keepBatches: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 4096,
        default: 0,
        description: "So many batches before a fault are kept at least, so that it can be reproduced exactly.",
      }),
    ),
  },
  closed,
);

const through = listOf(Type.String(), { description: "Functions, in order." });
const to = Type.String({
  description:
    "A port; route: the port that the packet's route leads to; or none: the frames are inspected and consumed.",
});
const pathSchema = Type.Object({ from: Type.String(), match: Type.Optional(matchSchema), through, to }, closed);
const branchSchema = Type.Object({ through, to }, closed);

export const chainSchema = Type.Object(
  {
    chain: Type.String({
      pattern: "^[a-z][a-z0-9-]{0,62}$",
      title: "a chain name (a lower-case letter, then up to 62 lower-case letters, digits or '-')",
    }),
    description: Type.Optional(Type.String()),
    ports: mapOf(portSchema, {
      description: "Where frames enter and leave.",
      minProperties: 1,
      maxProperties: portsLimit,
      propertyNames: { allOf: [name, { not: { enum: ["none", "route"] } }] },
    }),
    functions: Type.Optional(
      mapOf(functionSchema, {
        description: "Network functions with their configuration; one instance each, wherever they stand.",
        maxProperties: functionsLimit,
      }),
    ),
    paths: Type.Array(pathSchema, {
      description: "How frames go through the chain. The first path that matches takes the frame.",
      minItems: 1,
      maxItems: pathsLimit,
    }),
    branches: Type.Optional(
      Type.Record(Type.String(), mapOf(branchSchema), {
        description: "By function and branch: where frames go that the function sends aside.",
      }),
    ),
    flows: flowsSchema,
    telemetry: telemetrySchema,
    whenDown: Type.Optional(
      Type.Enum(["pass", "drop"], {
        default: "pass",
        description:
          "What becomes of the ports' frames while the engine is dead and about to be started again: pass to the kernel, or drop. What `kernel` names is left to the kernel all the same.",
      }),
    ),
  },
  {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: "urn:sluice:chain",
    title: "Sluice chain",
    ...closed,
  },
);

export type ChainDocument = Static<typeof chainSchema>;
export type PortDeclaration = Static<typeof portSchema>;
export type FunctionDeclaration = Static<typeof functionSchema>;
export type MatchDeclaration = Static<typeof matchSchema>;
export type PathDeclaration = Static<typeof pathSchema>;
export type BranchDeclaration = Static<typeof branchSchema>;
