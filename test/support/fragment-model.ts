// Fragments, as simply as it can be said: every packet keeps all that is known of it. Limits are not modelled; sequences
// have to stay below them.
import { type Conversation, type FlowFrame, type FragmentPiece, protos } from "./flow-frame.ts";

export interface FragmentTimeouts {
  readonly timeoutNs: bigint;
  /** How long a packet that passed whole is remembered. */
  readonly lingerNs: bigint;
}

export type FragmentAnswer =
  | { readonly verdict: "pass"; readonly proto: number; readonly sourcePort: number; readonly destinationPort: number }
  | { readonly verdict: "hold" }
  | { readonly verdict: "drop"; readonly reason: FragmentFault | "duplicate" };

type FragmentFault = "overlap" | "tiny" | "too-long" | "malformed";

interface Part extends FragmentPiece {
  passed: boolean;
}

interface FragmentedPacket<T> {
  readonly parts: Part[];
  first?: Conversation;
  refused?: FragmentFault;
  readonly held: T[];
  deadlineNs: bigint;
}

/** `T` is what the caller wants back for a fragment that had to wait. */
export class FragmentModel<T> {
  readonly #packets = new Map<string, FragmentedPacket<T>>();
  readonly #timeouts: FragmentTimeouts;

  constructor(timeouts: FragmentTimeouts) {
    this.#timeouts = timeouts;
  }

  /** Keeps `waiting` if the answer is "hold". */
  admit(frame: FlowFrame, piece: FragmentPiece, zone: number, waiting: T, timeNs: bigint): FragmentAnswer {
    const packet = this.#packetOf(frame, piece, zone, timeNs);
    if (packet.refused !== undefined) return { verdict: "drop", reason: packet.refused };
    const fault = faultOf(frame, piece, packet.parts);
    if (fault !== undefined) {
      // What passed whole cannot be refused any more.
      if (!isWhole(packet)) this.#settle(packet, { refused: fault }, timeNs);
      return { verdict: "drop", reason: fault };
    }
    const known = packet.parts.find(({ start }) => start === piece.start);
    if (known?.passed || (known !== undefined && packet.first === undefined)) {
      return { verdict: "drop", reason: "duplicate" };
    }
    const part = known ?? { ...piece, passed: false };
    if (known === undefined) packet.parts.push(part);
    if (piece.start === 0) this.#settle(packet, { first: frame }, timeNs);
    if (packet.first === undefined) {
      packet.held.push(waiting);
      return { verdict: "hold" };
    }
    part.passed = true;
    if (isWhole(packet)) packet.deadlineNs = timeNs + this.#timeouts.lingerNs;
    const { proto, source, destination } = packet.first;
    return { verdict: "pass", proto, sourcePort: source.port, destinationPort: destination.port };
  }

  /** What waited for a first fragment that came, or for a packet that was refused; to be admitted again. */
  release(): T[] {
    const settled = [...this.#packets.values()].filter(
      ({ first, refused }) => first !== undefined || refused !== undefined,
    );
    return settled.flatMap((packet) => packet.held.splice(0));
  }

  /** What waited in vain. */
  expire(timeNs: bigint): T[] {
    const over = [...this.#packets].filter(([, { deadlineNs }]) => deadlineNs <= timeNs);
    for (const [key] of over) this.#packets.delete(key);
    return over.flatMap(([, { held }]) => held);
  }

  #packetOf(frame: FlowFrame, { identification }: FragmentPiece, zone: number, timeNs: bigint): FragmentedPacket<T> {
    const proto = frame.version === 4 ? frame.proto : 0;
    const ends = `${frame.source.address}>${frame.destination.address}`;
    const key = [zone, frame.vlan, frame.version, proto, ends, identification].join(" ");
    const known = this.#packets.get(key);
    if (known !== undefined) return known;
    const packet = { parts: [], held: [], deadlineNs: timeNs + this.#timeouts.timeoutNs };
    this.#packets.set(key, packet);
    return packet;
  }

  /** The packet's fate is known; if it waited for that, its time begins again. */
  #settle(packet: FragmentedPacket<T>, fate: Pick<FragmentedPacket<T>, "first" | "refused">, timeNs: bigint): void {
    if (packet.first === undefined) packet.deadlineNs = timeNs + this.#timeouts.timeoutNs;
    Object.assign(packet, fate);
  }
}

/** All bytes up to the end passed. */
function isWhole({ parts }: { readonly parts: readonly Part[] }): boolean {
  const last = parts.find(({ more }) => !more);
  const passed = parts.filter((part) => part.passed).reduce((sum, { start, end }) => sum + end - start, 0);
  return last !== undefined && passed === last.end;
}

const TCP_HEADER_BYTES = 20;

function faultOf(frame: FlowFrame, piece: FragmentPiece, parts: readonly FragmentPiece[]): FragmentFault | undefined {
  const all = [...parts, piece];
  const first = all.find(({ start }) => start === 0) ?? piece;
  const end = Math.max(...all.map((part) => part.end));
  if (piece.before + piece.end > 0xffff || first.before + end > 0xffff) return "too-long";
  if (piece.end === piece.start || (piece.more && (piece.end - piece.start) % 8 !== 0)) return "malformed";
  if (piece.start === 0 && !frame.hasTransport) return "tiny";
  if (piece.start > 0 && piece.start < TCP_HEADER_BYTES && frame.proto === protos.tcp) return "tiny";
  return parts.some((part) => contradict(part, piece)) ? "overlap" : undefined;
}

/** Two pieces that no packet can have both. */
function contradict(a: FragmentPiece, b: FragmentPiece): boolean {
  const isSame = a.start === b.start && a.end === b.end;
  if (isSame) return a.more !== b.more;
  if (a.start < b.end && b.start < a.end) return true;
  return (!a.more && b.end > a.end) || (!b.more && a.end > b.end);
}
