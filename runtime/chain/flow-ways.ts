// Which way the frames of a flow take through a plan, as far as that can be told from its tuple.
import type { Match, Plan, Target } from "./plan.ts";

/** One direction of a flow. */
export interface Tuple {
  readonly ipProto: number;
  readonly source: { readonly address: Uint8Array; readonly port: number };
  readonly destination: { readonly address: Uint8Array; readonly port: number };
  readonly vlan: number;
  readonly labels: number;
}

/** The ways through a plan, described once. */
export class Ways {
  /** By port: what its paths take, and what such a frame passes: `fw=acl@1.0.0 {…} > wan`. */
  readonly #byPort: ReadonlyMap<string, readonly { readonly match: Match | null; readonly way: string }[]>;

  constructor(plan: Plan) {
    const pathsOf = (port: number) => plan.paths.filter(({ from }) => from === port);
    const describe = ({ match, first }: Plan["paths"][number]) => ({ match, way: describeTarget(plan, first) });
    this.#byPort = new Map(plan.ports.map(({ name }, port) => [name, pathsOf(port).map(describe)]));
  }

  get ports(): Iterable<string> {
    return this.#byPort.keys();
  }

  /** Of a frame with this tuple that comes in at the port; "" if no path takes it. */
  find(port: string, tuple: Tuple): string {
    return this.#byPort.get(port)?.find(({ match }) => takes(match, tuple))?.way ?? "";
  }
}

function describeTarget(plan: Plan, target: Target): string {
  if (target.kind === "none" || target.kind === "route") return target.kind;
  if (target.kind === "port") return plan.ports[target.port]?.name ?? "";
  const hop = plan.hops[target.hop] as Plan["hops"][number];
  const { name, package: used, config, onFault } = plan.functions[hop.function] as Plan["functions"][number];
  const branches = hop.branches.map((branch) => describeTarget(plan, branch));
  const self = JSON.stringify([name, used.name, used.version, config, onFault, branches]);
  return `${self} > ${describeTarget(plan, hop.next)}`;
}

/** DSCP and ethertype are a frame's, not a flow's: they do not speak against it. */
function takes(match: Match | null, { ipProto, source, destination, vlan, labels }: Tuple): boolean {
  if (match === null) return true;
  const within = ([first, last]: readonly [number, number], port: number) => first <= port && port <= last;
  return (
    any(match.sources, (prefix) => holds(prefix, source.address)) &&
    any(match.destinations, (prefix) => holds(prefix, destination.address)) &&
    any(match.sourcePorts, (range) => within(range, source.port)) &&
    any(match.destinationPorts, (range) => within(range, destination.port)) &&
    any(match.ipProtos, (each) => each === ipProto) &&
    any(match.vlans, (each) => each === vlan) &&
    (match.labels & ~labels) === 0
  );
}

function any<Value>(values: readonly Value[], isIt: (value: Value) => boolean): boolean {
  return values.length === 0 || values.some(isIt);
}

function holds({ address, prefixLength }: Match["sources"][number], candidate: Uint8Array): boolean {
  if (address.length !== candidate.length) return false;
  const whole = prefixLength >> 3;
  for (let index = 0; index < whole; index++) if (address[index] !== candidate[index]) return false;
  const mask = (0xff00 >> (prefixLength & 7)) & 0xff;
  return mask === 0 || (((address[whole] ?? 0) ^ (candidate[whole] ?? 0)) & mask) === 0;
}
