// What hosts on both sides of a policy say to each other, one packet after the other. Each conversation is a generator:
// it yields a packet and is told how that arrived on the other side, or that it did not. So who answers does that to the
// addresses and ports that it has seen.
import ipaddr from "ipaddr.js";
import type { Dice } from "../rule-sets.ts";
import { hosts, type Policy, pick, servicePorts } from "./policy.ts";

export type Side = "lan" | "wan";

export interface Tuple {
  readonly proto: "tcp" | "udp" | "icmp";
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** Packets as text, without the word that numbers them; several are the fragments of one. */
export interface Sent {
  readonly from: Side;
  /** What is odd about it. */
  readonly oddity?: string;
  readonly lines: readonly string[];
}

/** How a packet arrived: its line, and its tuple where it has one. */
export interface Arrived {
  readonly line: string;
  readonly tuple: Tuple;
}

export type Conversation = Generator<Sent, void, Arrived | null>;

type Script = (dice: Dice, from: Side, tuple: Tuple) => Conversation;

export const isVersion6 = (address: string) => address.includes(":");
const other = (side: Side): Side => (side === "lan" ? "wan" : "lan");

function endpoint(address: string, port: number): string {
  return isVersion6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

export function reversed(tuple: Tuple): Tuple {
  const { source, sourcePort, destination, destinationPort } = tuple;
  return {
    ...tuple,
    source: destination,
    sourcePort: destinationPort,
    destination: source,
    destinationPort: sourcePort,
  };
}

function segment({ source, sourcePort, destination, destinationPort }: Tuple, words: string): string {
  return `tcp ${endpoint(source, sourcePort)} > ${endpoint(destination, destinationPort)} ${words}`;
}

function datagram({ source, sourcePort, destination, destinationPort }: Tuple, words = 'payload "hello"'): string {
  return `udp ${endpoint(source, sourcePort)} > ${endpoint(destination, destinationPort)} ${words}`;
}

function echo({ source, sourcePort, destination }: Tuple, kind: "echo" | "echo-reply", seq: number): string {
  const word = isVersion6(source) ? "icmp6" : "icmp";
  return `${word} ${source} > ${destination} ${kind} id ${sourcePort} seq ${seq} payload "ping"`;
}

function one(from: Side, line: string, oddity?: string): Sent {
  return { from, lines: [line], ...(oddity !== undefined && { oddity }) };
}

/** Words that may be said of an established connection, from either side; `win` is what each may send. */
const oddities = [
  ["a segment far beyond the window", (seq: number, ack: number) => `ack ${ack} seq ${seq + 5_000_000} payload "x"`],
  [
    "a segment far before the window",
    (seq: number, ack: number) => `ack ${ack} seq ${(seq - 5_000_000) >>> 0} payload "x"`,
  ],
  ["an acknowledgement of what was not sent", (seq: number, ack: number) => `ack ${ack + 5_000_000} seq ${seq}`],
  ["a reset", (seq: number) => `rst seq ${seq}`],
  ["a reset beyond the window", (seq: number) => `rst seq ${seq + 5_000_000}`],
  ["a second SYN", (seq: number) => `syn seq ${seq}`],
  ["SYN and FIN", (seq: number) => `syn fin seq ${seq}`],
  ["no flags", (seq: number) => `seq ${seq}`],
  ["FIN, PSH and URG", (seq: number) => `fin psh urg seq ${seq}`],
  ["URG without ACK", (seq: number) => `urg rst seq ${seq}`],
  ["a keepalive", (seq: number, ack: number) => `ack ${ack} seq ${seq - 1}`],
  ["urgent data", (seq: number, ack: number) => `ack ${ack} seq ${seq} psh urg urgent 1 payload "u"`],
] as const;

function* connection(dice: Dice, from: Side, tuple: Tuple): Conversation {
  const [near, far] = [1000 + dice(1 << 30), 1000 + dice(1 << 30)];
  const syn = yield one(from, segment(tuple, `syn seq ${near} win 64000 tcp-options 020405b4`));
  if (syn === null) {
    // Whoever is not heard says it again.
    yield one(from, segment(tuple, `syn seq ${near} win 64000`));
    return;
  }
  const back = reversed(syn.tuple);
  const accepted = yield one(other(from), segment(back, `syn ack ${near + 1} seq ${far} win 64000`));
  if (accepted === null) return;
  yield one(from, segment(tuple, `ack ${far + 1} seq ${near + 1} win 64000`));
  yield one(from, segment(tuple, `psh ack ${far + 1} seq ${near + 1} win 64000 payload "question"`));
  yield one(other(from), segment(back, `psh ack ${near + 9} seq ${far + 1} win 64000 payload "answer"`));
  if (dice(2) === 0) {
    const [what, words] = pick(dice, oddities);
    if (dice(2) === 0) yield one(from, segment(tuple, `${words(near + 9, far + 7)} win 64000`), what);
    else yield one(other(from), segment(back, `${words(far + 7, near + 9)} win 64000`), `${what} from who was called`);
  }
  yield one(other(from), segment(back, `fin ack ${near + 9} seq ${far + 7} win 64000`));
  yield one(from, segment(tuple, `fin ack ${far + 8} seq ${near + 9} win 64000`));
  yield one(other(from), segment(back, `ack ${near + 10} seq ${far + 8} win 64000`));
}

/** As it looks to who came too late. */
function* middle(dice: Dice, from: Side, tuple: Tuple): Conversation {
  const words = pick(dice, ["ack 7000", "psh ack 7000", "fin ack 7000", "rst", "rst ack 7000", "syn ack 7000"]);
  const data = yield one(from, segment(tuple, `${words} seq 5000 win 64000`));
  if (data === null) return;
  yield one(other(from), segment(reversed(data.tuple), "ack 5000 seq 7000 win 64000"));
  yield one(from, segment(tuple, "psh ack 7000 seq 5000 win 64000 payload 414243"));
}

function* refused(dice: Dice, from: Side, tuple: Tuple): Conversation {
  const syn = yield one(from, segment(tuple, "syn seq 5000 win 64000"));
  if (syn === null) return;
  const words = pick(dice, ["rst ack 5001 seq 0", "rst ack 9999 seq 0", "rst seq 1"]);
  yield one(other(from), segment(reversed(syn.tuple), words), words);
  yield one(from, segment(tuple, "syn seq 5000 win 64000"));
}

function* datagrams(dice: Dice, from: Side, tuple: Tuple): Conversation {
  const first = yield one(from, datagram(tuple));
  if (first === null) {
    yield one(from, datagram(tuple, 'payload "again"'));
    return;
  }
  const back = reversed(first.tuple);
  yield one(other(from), datagram(back, 'payload "answer"'));
  yield one(from, datagram(tuple, "checksum 0"));
  if (dice(2) === 0) yield one(other(from), datagram({ ...back, sourcePort: back.sourcePort + 1 }));
  else yield one(other(from), error(back.source, first));
}

function* pings(dice: Dice, from: Side, tuple: Tuple): Conversation {
  const request = yield one(from, echo(tuple, "echo", 1));
  if (request === null) return;
  yield one(other(from), echo(reversed(request.tuple), "echo-reply", 1));
  yield one(from, echo(tuple, "echo", 2));
  const stranger = { ...reversed(request.tuple), source: strangerAt(other(from), isVersion6(tuple.source)) };
  if (dice(3) === 0) yield one(other(from), echo(stranger, "echo-reply", 2));
  else yield one(other(from), error(routerOf(request.tuple), request));
}

function strangerAt(side: Side, version6: boolean): string {
  if (side === "lan") return version6 ? "2001:db8:a::99" : "10.0.0.99";
  return version6 ? "2001:db8:c::99" : "8.8.4.4";
}

function routerOf({ source }: Tuple): string {
  return isVersion6(source) ? "2001:db8:c::1:1" : "192.0.2.99";
}

/** What a host or router says of a packet that it has seen. */
function error(speaker: string, about: Arrived): string {
  const kind = isVersion6(speaker) ? "icmp6" : "icmp";
  const code = isVersion6(speaker) ? 4 : 3;
  return `${kind} ${speaker} > ${about.tuple.source} unreachable code ${code} payload (${about.line})`;
}

/** An error about a connection that is under way. */
function* interrupted(_dice: Dice, from: Side, tuple: Tuple): Conversation {
  const syn = yield one(from, segment(tuple, "syn seq 5000 win 64000"));
  if (syn === null) return;
  yield one(other(from), error(syn.tuple.destination, syn));
  yield one(other(from), segment(reversed(syn.tuple), "syn ack 5001 seq 7000 win 64000"));
}

/** Errors and replies that nobody asked for. */
function* stray(dice: Dice, from: Side, tuple: Tuple): Conversation {
  const line = { line: datagram(reversed(tuple)), tuple: reversed(tuple) };
  if (dice(2) === 0) yield one(from, error(tuple.source, line));
  else yield one(from, echo(tuple, "echo-reply", 1));
}

/** Without ports only the addresses tell it from others: the host outside is one that nobody else calls. */
function* otherProtocol(_dice: Dice, from: Side, { source, sourcePort, destination }: Tuple): Conversation {
  if (isVersion6(source)) return;
  const outside = `198.18.${sourcePort >> 8}.${sourcePort & 255}`;
  const [sender, receiver] = from === "lan" ? [source, outside] : [outside, destination];
  yield one(from, `ip ${sender} > ${receiver} proto 50 payload 0102030405060708`, "a protocol without ports");
}

/** A datagram in two fragments, in order or not. */
function* fragments(dice: Dice, from: Side, tuple: Tuple): Conversation {
  const whole = `udp-length 1008 checksum 0`;
  const first = `${datagram(tuple, `zeros 792`)} ${whole} frag more`;
  const last = `ip ${tuple.source} > ${tuple.destination} proto udp zeros 208 frag offset 800`;
  const lines = dice(2) === 0 ? [first, last] : [last, first];
  const arrived = yield { from, lines };
  if (arrived === null) return;
  yield one(other(from), datagram(reversed(arrived.tuple)));
}

/** A call from the other side with the very addresses and ports of one that was made before. */
function* crossing(_dice: Dice, from: Side, tuple: Tuple): Conversation {
  const call = yield one(from, datagram(tuple));
  if (call !== null || !isOutsideAddress(tuple.destination))
    yield one(other(from), datagram(reversed(call?.tuple ?? tuple)));
}

function* crossingSyns(_dice: Dice, from: Side, tuple: Tuple): Conversation {
  const syn = yield one(from, segment(tuple, "syn seq 5000 win 64000"));
  if (syn !== null || isOutsideAddress(tuple.destination)) return;
  yield one(other(from), segment(reversed(tuple), "syn seq 7000 win 64000"), "a SYN in the way of a dropped one");
  const call = yield one(other(from), segment(reversed(tuple), "syn seq 7000 win 64000"));
  if (call === null) return;
  yield one(from, segment(reversed(call.tuple), "syn ack 7001 seq 5000 win 64000"));
  yield one(other(from), segment(reversed(tuple), "ack 5001 seq 7001 win 64000"));
}

/** Of a translation: nobody inside has it. */
export const isOutsideAddress = (address: string) =>
  address.startsWith("203.0.113.") || address.startsWith("2001:db8:f::");

const scripts: readonly (readonly [weight: number, proto: Tuple["proto"], script: Script])[] = [
  [6, "tcp", connection],
  [2, "tcp", middle],
  [1, "tcp", refused],
  [2, "tcp", interrupted],
  [4, "udp", datagrams],
  [3, "icmp", pings],
  [1, "icmp", stray],
  [1, "icmp", otherProtocol],
  [2, "udp", fragments],
  [1, "udp", crossing],
  [1, "tcp", crossingSyns],
];

export interface Plan {
  readonly name: string;
  readonly from: Side;
  readonly tuple: Tuple;
  readonly begin: () => Conversation;
}

/** `port` is the first of as many client ports that no other policy uses. */
export function planConversations(policy: Policy, dice: Dice, count: number, port: number, fresh: Fresh): Plan[] {
  const taken = new Set<string>();
  const plans: Plan[] = [];
  for (let index = 0; index < count; index++) {
    const [proto, script] = pickScript(dice);
    const from = dice(5) < 3 ? "lan" : "wan";
    const clientPort = port + (dice(6) === 0 ? dice(index + 1) : index);
    const tuple = drawTuple(policy, dice, from, proto, clientPort);
    const key = [proto, ...[`${tuple.source} ${clientPort}`, insideOf(policy, tuple)].toSorted()];
    if (taken.has(key.join(" "))) continue;
    taken.add(key.join(" "));
    const seed = dice(2 ** 31);
    plans.push({ name: script.name, from, tuple, begin: () => script(fresh(seed), from, tuple) });
  }
  return plans;
}

/**
 * Whom a tuple calls in the end. One client does not call a host by its own and by an outside address at once: nat drops
 * the second call as `mismatch`, which no rule sees.
 */
function insideOf(policy: Policy, { proto, destination, destinationPort }: Tuple): string {
  const { forwards = [], oneToOne = [] } = policy.translation ?? {};
  const forward = forwards.find(
    ({ ipProto, address, ports: [first, last] }) =>
      ipProto === proto && address === destination && destinationPort >= first && destinationPort <= last,
  );
  if (forward !== undefined) return `${forward.to} ${forward.toPort}`;
  const called = ipaddr.parse(destination);
  const pair = oneToOne.find(({ outside }) => isWithin(called, outside));
  if (pair === undefined) return `${destination} ${destinationPort}`;
  const inside = ipaddr.parseCIDR(pair.inside)[0].toByteArray();
  const host = (called.toByteArray().at(-1) as number) & ONE_TO_ONE_HOSTS;
  return `${ipaddr.fromByteArray(inside.with(-1, (inside.at(-1) as number) | host))} ${destinationPort}`;
}

function isWithin(address: ipaddr.IPv4 | ipaddr.IPv6, prefix: string): boolean {
  const [net, bits] = ipaddr.parseCIDR(prefix);
  return net.kind() === address.kind() && address.match(net, bits);
}

/** The last four bits are the host's in all nets of 1:1 translations. */
const ONE_TO_ONE_HOSTS = 15;

export type Fresh = (seed: number) => Dice;

function pickScript(dice: Dice): readonly [Tuple["proto"], Script] {
  let left = dice(scripts.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, proto, script] of scripts) {
    if (left < weight) return [proto, script];
    left -= weight;
  }
  throw new Error("no script");
}

function drawTuple(policy: Policy, dice: Dice, from: Side, proto: Tuple["proto"], sourcePort: number): Tuple {
  const version6 = dice(4) === 0;
  const inner = version6 ? hosts.inside6 : [...hosts.inside, ...hosts.servers];
  const outer = version6 ? hosts.outside6 : hosts.outside;
  const destinationPort = proto === "icmp" ? sourcePort : pick(dice, servicePorts);
  if (from === "lan")
    return { proto, source: pick(dice, inner), sourcePort, destination: pick(dice, outer), destinationPort };
  const called = calledAddress(policy, dice, proto, version6);
  return {
    proto,
    source: pick(dice, outer),
    sourcePort,
    destination: called?.address ?? pick(dice, inner),
    destinationPort: called?.port ?? destinationPort,
  };
}

/** An outside address that leads somewhere, or nowhere; null for a host's own. */
function calledAddress(
  policy: Policy,
  dice: Dice,
  proto: Tuple["proto"],
  version6: boolean,
): { address: string; port?: number } | null {
  const translation = policy.translation;
  if (translation === null || dice(3) === 0) return null;
  const isOfFamily = (address: string) => isVersion6(address) === version6;
  const forwards = translation.forwards.filter(({ ipProto, address }) => ipProto === proto && isOfFamily(address));
  if (forwards.length > 0 && dice(2) === 0) {
    const { address, ports } = pick(dice, forwards);
    return { address, port: ports[0] + dice(ports[1] - ports[0] + 1) };
  }
  if (translation.oneToOne.some(({ outside }) => isOfFamily(outside)))
    return { address: version6 ? `2001:db8:f::8${pick(dice, [1, 2, 9])}` : `203.0.113.${pick(dice, [129, 130, 137])}` };
  const pools = translation.sources.flatMap((rule) => rule.pool.filter(isOfFamily));
  const pool = pools.map((prefix) => prefix.split("/")[0] as string);
  return pool.length === 0 ? null : { address: pick(dice, pool) };
}
