/**
 * A TCP connection as somebody in between sees it, without windows: the drawing of native/src/tcp_states.h in steps
 * that the sides took. Numbers must be small: they never wrap, and none is too far from another to be believed.
 */
import * as abi from "../../nfs/sdk/abi.ts";

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

export interface TcpSegment {
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  /** Bytes. */
  readonly payload: number;
}

/** Ignored segments count, like invalid ones, but move neither state nor deadline. */
export type TcpStep = "taken" | "ignored" | "invalid" | "reuse";

type Direction = 0 | 1;

interface TcpSide {
  /** Of its SYN, if that was seen or must have been sent. */
  first?: number;
  /** Behind the last byte that it sent. */
  end: number;
  /** The highest that it acknowledged. */
  acknowledged?: number;
  heard: boolean;
  /** What is known of it is what the other side said. */
  guessed: boolean;
  synSent: boolean;
  synAcked: boolean;
  finSent: boolean;
  finAcked: boolean;
}

const silent: TcpSide = {
  end: 0,
  heard: false,
  guessed: false,
  synSent: false,
  synAcked: false,
  finSent: false,
  finAcked: false,
};

interface Pair {
  readonly sender: TcpSide;
  readonly receiver: TcpSide;
  readonly from: Direction;
}

export class TcpModel {
  state: number = abi.FLOW_STATE_NEW;
  readonly #sides: readonly [TcpSide, TcpSide] = [{ ...silent }, { ...silent }];
  readonly #midstream: boolean;
  /** A SYN that an open connection should have answered with a challenge: the SYN/ACK for it begins anew. */
  #challenge: { readonly from: Direction; readonly seq: number } | undefined;

  /** `before`: the connection that had these ports. */
  constructor(midstream: boolean, before?: TcpModel) {
    this.#midstream = midstream;
    if (before !== undefined) this.#challenge = before.#challenge;
  }

  /** Both sides were heard since the connection is open. */
  get isAssured(): boolean {
    return this.#isOpen && this.#sides.every(({ heard }) => heard);
  }

  step(segment: TcpSegment, from: Direction): TcpStep {
    const pair: Pair = {
      sender: this.#sides[from],
      receiver: this.#sides[from === 0 ? 1 : 0],
      from,
    };
    const kind = segment.flags & (FIN | SYN | RST | ACK);
    if (kind === RST || kind === (RST | ACK)) return this.#reset(segment, pair);
    if (kind === SYN) return this.#syn(segment, pair);
    if (kind === (SYN | ACK)) return this.#synAck(segment, pair);
    if (kind !== ACK && kind !== (FIN | ACK)) return "invalid";
    // Of a refused connection only one side is known.
    const isKnown = this.#sides.every(({ heard, guessed }) => heard || guessed);
    if (this.state === abi.FLOW_STATE_CLOSED && !isKnown) return "ignored";
    const isUnopened = this.state === abi.FLOW_STATE_NEW || this.state === abi.FLOW_STATE_SYN_SENT;
    return isUnopened ? this.#pickUp(segment, pair) : this.#take(segment, pair);
  }

  get #isOpen(): boolean {
    return this.#sides.every(({ synSent, synAcked }) => synSent && synAcked);
  }

  #syn(segment: TcpSegment, { sender, receiver, from }: Pair): TcpStep {
    const isAgain = sender.first === segment.seq;
    if (this.state === abi.FLOW_STATE_CLOSED) return "reuse";
    if (this.state === abi.FLOW_STATE_TIME_WAIT && !isAgain) return "reuse";
    if (isAgain && (!this.#isOpen || this.state === abi.FLOW_STATE_TIME_WAIT)) {
      return this.#take(segment, { sender, receiver, from });
    }
    if (isAgain) return "ignored";
    const isNewer = sender.synSent && segment.seq > (sender.first ?? 0);
    const mayOpen = this.state === abi.FLOW_STATE_SYN_SENT && (!sender.synSent || isNewer);
    const opens = this.state === abi.FLOW_STATE_NEW || mayOpen;
    this.#challenge = opens ? undefined : { from, seq: segment.seq };
    return opens ? this.#open(segment, { sender, receiver, from }) : "ignored";
  }

  /** The sender's numbers begin here. */
  #open(segment: TcpSegment, pair: Pair): TcpStep {
    forget(pair.sender);
    pair.sender.first = segment.seq;
    pair.sender.end = segment.seq;
    return this.#take(segment, pair);
  }

  #synAck(segment: TcpSegment, pair: Pair): TcpStep {
    const { sender, receiver, from } = pair;
    if (this.state === abi.FLOW_STATE_NEW) {
      const isHeard = segment.ack - 1 === this.#challenge?.seq;
      if (!isHeard && !this.#midstream) return "invalid";
      if (isHeard) this.#challenge = undefined;
      Object.assign(receiver, { first: segment.ack - 1, end: segment.ack, synSent: true });
      Object.assign(receiver, { heard: isHeard, guessed: !isHeard });
      return this.#open(segment, pair);
    }
    // An end may know better than to believe the reset of its SYN.
    const isUnanswered = this.state === abi.FLOW_STATE_CLOSED && sender.synSent !== receiver.synSent;
    const isAnswer = this.state === abi.FLOW_STATE_SYN_SENT || isUnanswered;
    if (isAnswer) {
      if (sender.synSent) return "invalid";
      if (acksSyn(segment, receiver)) return this.#open(segment, pair);
    } else if (sender.first === segment.seq) return this.#take(segment, pair);
    if (this.#challenge !== undefined && this.#challenge.from !== from && segment.ack === this.#challenge.seq + 1) {
      return "reuse";
    }
    // Before the opener took up the first answer, another connection of the other side may give its own.
    const isNewer = this.state === abi.FLOW_STATE_SYN_RECEIVED && segment.seq > (sender.first ?? 0);
    if (isNewer && receiver.acknowledged === undefined && acksSyn(segment, receiver)) return this.#open(segment, pair);
    if (isAnswer) sender.acknowledged = segment.ack;
    return "invalid";
  }

  /** The handshake, or its rest, was not seen. */
  #pickUp(segment: TcpSegment, pair: Pair): TcpStep {
    const { sender, receiver } = pair;
    const isFirst = this.state === abi.FLOW_STATE_NEW;
    const isSound = isFirst || (sender.synSent ? followsSyn(segment, sender) : acksSyn(segment, receiver));
    if (!this.#midstream || !isSound) {
      if (isFirst || sender.synSent) return "invalid";
      sender.acknowledged = segment.ack;
      return "ignored";
    }
    const unseen = isFirst ? pair : sender.synSent ? { receiver } : { sender };
    if (unseen.sender) Object.assign(forget(unseen.sender), { end: segment.seq, guessed: true });
    if (unseen.receiver) Object.assign(forget(unseen.receiver), { end: segment.ack, guessed: true });
    for (const side of this.#sides) Object.assign(side, { synSent: true, synAcked: true });
    this.state = abi.FLOW_STATE_ESTABLISHED;
    return this.#take(segment, pair);
  }

  #take(segment: TcpSegment, { sender, receiver, from }: Pair): TcpStep {
    const { flags, seq, ack, payload } = segment;
    // An acknowledgement that does not reach the SYN is of another connection.
    const isOther = (flags & ACK) !== 0 && !receiver.synAcked && receiver.first !== undefined && ack <= receiver.first;
    if (isOther && !this.#isOpen) return "invalid";
    sender.heard = true;
    sender.end = Math.max(sender.end, seq + payload + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0));
    if (flags & ACK) {
      receiver.end = Math.max(receiver.end, ack);
      sender.acknowledged = Math.max(sender.acknowledged ?? 0, ack);
    }
    if (this.#challenge?.from === from) this.#challenge = undefined;
    if (flags & SYN) sender.synSent = true;
    if (flags & FIN) sender.finSent = true;
    if (flags & ACK) {
      receiver.synAcked ||= receiver.synSent;
      receiver.finAcked ||= receiver.finSent && ack >= receiver.end;
    }
    if (this.state !== abi.FLOW_STATE_CLOSED) this.state = stateOf(this.#sides);
    return "taken";
  }

  /** Only the exact number resets, while it is known what that is. */
  #reset(segment: TcpSegment, pair: Pair): TcpStep {
    const { TIME_WAIT, CLOSED, NEW, SYN_SENT } = states;
    if (this.state === NEW) return "invalid";
    if (this.state === TIME_WAIT || this.state === CLOSED) return "ignored";
    if (this.state === SYN_SENT) return this.#earlyReset(segment, pair);
    const { sender, receiver } = pair;
    const isClosing = this.#sides.some(({ finSent }) => finSent);
    if (!(this.#isExact(segment, pair) || isClosing || !receiver.heard)) {
      return segment.seq >= (receiver.acknowledged ?? sender.end) ? "ignored" : "invalid";
    }
    this.state = CLOSED;
    return "taken";
  }

  #isExact(segment: TcpSegment, { sender, receiver }: Pair): boolean {
    if (segment.seq === sender.end) return true;
    if (receiver.acknowledged !== undefined) return segment.seq === receiver.acknowledged;
    return !this.#isOpen && refuses(segment, receiver);
  }

  #earlyReset(segment: TcpSegment, { sender, receiver }: Pair): TcpStep {
    const isSound = sender.synSent ? followsSyn(segment, sender) : refuses(segment, receiver);
    if (!isSound) return sender.synSent && segment.seq === receiver.acknowledged ? "ignored" : "invalid";
    this.state = abi.FLOW_STATE_CLOSED;
    return "taken";
  }
}

const states = {
  NEW: abi.FLOW_STATE_NEW,
  SYN_SENT: abi.FLOW_STATE_SYN_SENT,
  TIME_WAIT: abi.FLOW_STATE_TIME_WAIT,
  CLOSED: abi.FLOW_STATE_CLOSED,
};

/** What its numbers were; what it did stays. */
function forget(side: TcpSide): TcpSide {
  delete side.first;
  delete side.acknowledged;
  side.heard = false;
  side.guessed = false;
  return side;
}

const acksSyn = ({ ack }: TcpSegment, { first, end }: TcpSide) => first !== undefined && ack > first && ack <= end;

const refuses = (segment: TcpSegment, receiver: TcpSide) => (segment.flags & ACK) !== 0 && acksSyn(segment, receiver);

const followsSyn = ({ seq }: TcpSegment, { first, end }: TcpSide) => first !== undefined && seq > first && seq <= end;

function stateOf(sides: readonly TcpSide[]): number {
  const count = (of: (side: TcpSide) => boolean) => sides.filter(of).length;
  if (count(({ finSent }) => finSent) === 2) {
    return count(({ finAcked }) => finAcked) === 2 ? abi.FLOW_STATE_TIME_WAIT : abi.FLOW_STATE_LAST_ACK;
  }
  if (count(({ finSent }) => finSent) === 1) {
    return count(({ finAcked }) => finAcked) === 1 ? abi.FLOW_STATE_CLOSE_WAIT : abi.FLOW_STATE_FIN_WAIT;
  }
  const acked = count(({ synAcked }) => synAcked);
  if (acked === 2) return abi.FLOW_STATE_ESTABLISHED;
  if (acked === 1) return abi.FLOW_STATE_SYN_RECEIVED;
  return count(({ synSent }) => synSent) === 2 ? abi.FLOW_STATE_SYN_SENT_2 : abi.FLOW_STATE_SYN_SENT;
}
