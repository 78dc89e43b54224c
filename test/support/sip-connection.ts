// A TCP connection with SIP through nfs/nat: the phone at 10.0.0.5 (its numbers begin at 1000) and its registrar (5000).
import type { NatUnderTest } from "./nat-under-test.ts";
import { payloadOf } from "./sip-messages.ts";

const PHONE = 1000;
const REGISTRAR = 5000;
const phone = "10.0.0.5:40000";
const outside = "203.0.113.1:40000";
const registrar = "192.0.2.60:5060";

/** What became of a segment: where its bytes stand in the receiver's stream, or why it was dropped. */
export interface Segment {
  readonly at: number;
  readonly bytes: string;
  /** Of the other side's stream. */
  readonly acknowledged: number;
  readonly fin: boolean;
}
export type Passed = Segment | string;

export interface Connection {
  /** Bytes of the sender's stream from there on, and how far it has got the other's. */
  readonly phone: (at: number, bytes: string, acknowledged?: number, flags?: string) => Passed;
  readonly registrar: (at: number, bytes: string, acknowledged?: number, flags?: string) => Passed;
}

/** Lengths and checksums are right, or the line would say more. */
function read(line: string, from: number, to: number): Passed {
  const dropped = /^drop (\S+)$/.exec(line)?.[1];
  if (dropped !== undefined) return dropped;
  const found = /^next tcp \S+ > \S+ (fin )?(?:psh )?seq (\d+) ack (\d+)(?: payload (?:".*"|[0-9a-f]+))?$/.exec(line);
  if (found === null) throw new Error(line);
  const [, fin, sequence, acknowledged] = found;
  return {
    at: Number(sequence) - from,
    bytes: payloadOf(line),
    acknowledged: Number(acknowledged) - to,
    fin: fin !== undefined,
  };
}

export function connectPhone(nat: NatUnderTest): Connection {
  const send =
    (way: "out" | "in", ends: string, own: number, other: number) =>
    (at: number, bytes: string, acknowledged = 0, flags = "") => {
      const payload = bytes === "" ? "" : `payload ${Buffer.from(bytes, "latin1").toString("hex")}`;
      const line = `tcp ${ends} ${flags} seq ${own + at} ack ${other + acknowledged} ${payload}`;
      return read(nat[way](line)[0] ?? "", own, other);
    };
  nat.out(`tcp ${phone} > ${registrar} syn seq ${PHONE - 1}`);
  nat.in(`tcp ${registrar} > ${outside} syn seq ${REGISTRAR - 1} ack ${PHONE}`);
  nat.out(`tcp ${phone} > ${registrar} seq ${PHONE} ack ${REGISTRAR}`);
  return {
    phone: send("out", `${phone} > ${registrar}`, PHONE, REGISTRAR),
    registrar: send("in", `${registrar} > ${outside}`, REGISTRAR, PHONE),
  };
}

/** Bytes that came in any order, as far as they are without a gap; a byte that comes again must be the same. */
export class Receiver {
  #bytes: (string | undefined)[] = [];

  take({ at, bytes }: Segment): void {
    for (let i = 0; i < bytes.length; i++) {
      const before = this.#bytes[at + i];
      if (before !== undefined && before !== bytes[i]) throw new Error(`byte ${at + i} came as another one`);
      this.#bytes[at + i] = bytes[i];
    }
  }

  get length(): number {
    let length = 0;
    while (this.#bytes[length] !== undefined) length++;
    return length;
  }

  get text(): string {
    return this.#bytes.slice(0, this.length).join("");
  }
}

export interface Line {
  /** Bytes of the next segment, and whether a segment is lost before or behind the function. */
  readonly cut: () => number;
  readonly isLost: () => boolean;
}

/** Sends all of the phone's stream until all of it is acknowledged. What the registrar got. */
export function sendAll(connection: Connection, text: string, { cut, isLost }: Line): string {
  const receiver = new Receiver();
  let acknowledged = 0;
  for (let round = 0; acknowledged < text.length; round++) {
    if (round === 500) throw new Error(`only ${acknowledged} of ${text.length} bytes came through`);
    for (let at = acknowledged, size = 0; at < text.length; at += size) {
      size = cut();
      if (isLost()) continue;
      const passed = connection.phone(at, text.slice(at, at + size));
      if (typeof passed !== "string" && !isLost()) receiver.take(passed);
    }
    const answer = connection.registrar(0, "", receiver.length);
    if (typeof answer === "string") throw new Error(answer);
    if (answer.acknowledged < acknowledged) throw new Error("an acknowledgement went back");
    acknowledged = answer.acknowledged;
  }
  return receiver.text;
}
