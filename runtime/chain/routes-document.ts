// The routes document: what a replay has instead of the kernel's links, addresses, routes and neighbours.
import { type Static, Type } from "typebox";
import type { Fault } from "../errors.ts";
import { throwFaults } from "./faults.ts";
import type { Plan } from "./plan.ts";
import { extendPointer } from "./pointer.ts";
import { maskAddress, type Prefix, parsePrefix } from "./protocols.ts";
import { findSchemaFaults } from "./schema-faults.ts";
import { parseSource, type SourceText } from "./source-text.ts";

const closed = { additionalProperties: false };
const prefix = Type.String({ format: "ip-prefix", title: "a prefix such as 10.0.0.0/8 or 2001:db8::/32" });
const address = Type.String({ format: "ip-address", title: "an address such as 10.0.0.1 or 2001:db8::1" });
const mac = Type.String({ format: "mac-address", title: "a link address such as 02:00:00:00:00:01" });
const mtu = Type.Integer({ minimum: 68, maximum: 65535 });

const routesSchema = Type.Object(
  {
    ports: Type.Record(
      Type.String(),
      Type.Object({ mac, mtu: Type.Optional(mtu), addresses: Type.Array(prefix) }, closed),
      { description: "By port: its link address, and its addresses with the length of their network's prefix." },
    ),
    routes: Type.Optional(
      Type.Array(
        Type.Object(
          {
            to: prefix,
            via: Type.Optional(address),
            kind: Type.Optional(Type.Enum(["blackhole", "unreachable", "prohibit"])),
            mtu: Type.Optional(mtu),
          },
          closed,
        ),
      ),
    ),
    neighbours: Type.Optional(Type.Record(Type.String(), mac, { description: "Link addresses, by address." })),
  },
  { $id: "urn:sluice:routes", title: "Sluice routes", ...closed },
);

type RoutesDeclaration = Static<typeof routesSchema>;

/** Addresses in network order, 4 or 16 bytes; `port` by index of the plan. */
export interface FixedRoutes {
  readonly links: readonly FixedLink[];
  readonly routes: readonly FixedRoute[];
  readonly neighbours: readonly { readonly port: number; readonly address: Uint8Array; readonly mac: Uint8Array }[];
}

export interface FixedLink {
  readonly port: number;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly addresses: readonly Uint8Array[];
}

export interface FixedRoute {
  readonly address: Uint8Array;
  readonly prefixLength: number;
  readonly kind: "forward" | "local" | "blackhole" | "unreachable" | "prohibit";
  /** Where a "forward" leaves. */
  readonly port?: number | undefined;
  /** Absent: the destination itself is the neighbour. */
  readonly gateway?: Uint8Array | undefined;
  readonly mtu?: number | undefined;
}

const MTU = 1500;

interface Network extends Prefix {
  readonly port: number;
}

/** Throws every fault of the document: of its shape, of ports that the plan has not, of gateways that are on no network. */
export function parseRoutes(text: string, file: string, ports: Plan["ports"]): FixedRoutes {
  const source = parseSource(text, file);
  throwFaults([...source.faults, ...findSchemaFaults(source.value, routesSchema, "document-schema", source.locate)]);
  const declared = source.value as RoutesDeclaration;
  const faults: Fault[] = [];
  const places = new Places(source, ports, declared, faults);
  const links = Object.entries(declared.ports).map(([name, link]) => ({
    port: places.port(name),
    mac: readMac(link.mac),
    mtu: link.mtu ?? MTU,
    addresses: link.addresses.map(readAddress),
  }));
  const routes = (declared.routes ?? []).map((route, index) => places.route(route, `/routes/${index}`));
  const neighbours = Object.entries(declared.neighbours ?? {}).map(([text, link]) => {
    const pointer = extendPointer("/neighbours", text);
    return { port: places.portOf(text, pointer), address: readAddress(text), mac: readMac(link) };
  });
  throwFaults(faults);
  const connected = places.networks.map((network) => ({ ...network, kind: "forward" as const }));
  const own = links.flatMap(({ addresses }) =>
    addresses.map((each) => ({ address: each, prefixLength: each.length * 8, kind: "local" as const })),
  );
  return { links, routes: [...routes, ...connected, ...own], neighbours };
}

class Places {
  readonly networks: readonly Network[];
  readonly #source: SourceText;
  readonly #ports: readonly string[];
  readonly #faults: Fault[];

  constructor(source: SourceText, ports: Plan["ports"], declared: RoutesDeclaration, faults: Fault[]) {
    this.#source = source;
    this.#ports = ports.map(({ name }) => name);
    this.#faults = faults;
    this.networks = Object.entries(declared.ports).flatMap(([name, { addresses }]) =>
      addresses.flatMap((text) => {
        const network = parsePrefix(text);
        return network === undefined ? [] : [{ ...network, port: this.#ports.indexOf(name) }];
      }),
    );
  }

  port(name: string): number {
    const index = this.#ports.indexOf(name);
    if (index < 0) this.#report("unknown-port", extendPointer("/ports", name), `the chain has no port "${name}"`);
    return index;
  }

  /** The port on whose network the address is. */
  portOf(text: string, pointer: string): number {
    const address = readAddress(text);
    const network = this.networks.find(
      (each) =>
        each.address.length === address.length &&
        Buffer.compare(maskAddress(address, each.prefixLength), each.address) === 0,
    );
    if (network === undefined)
      this.#report("document-schema", pointer, `no port has an address on the network of ${text}`);
    return network?.port ?? -1;
  }

  route({ to, via, kind, mtu }: NonNullable<RoutesDeclaration["routes"]>[number], pointer: string): FixedRoute {
    const destination = parsePrefix(to) as Prefix;
    if (kind !== undefined) return { ...destination, kind };
    if (via === undefined) {
      this.#report("document-schema", pointer, "a route needs `via` or `kind`");
      return { ...destination, kind: "blackhole" };
    }
    return {
      ...destination,
      kind: "forward",
      port: this.portOf(via, `${pointer}/via`),
      gateway: readAddress(via),
      mtu,
    };
  }

  #report(code: Fault["code"], pointer: string, what: string): void {
    this.#faults.push({ code, where: this.#source.locate(pointer), what, pointer });
  }
}

/** Without its prefix length. */
function readAddress(text: string): Uint8Array {
  return parsePrefix(text.split("/")[0] as string)?.address ?? new Uint8Array();
}

function readMac(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}
