// The native fragment table, driven by packet lines.
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { LineHarness } from "./line-harness.ts";

export interface FragmentLimits {
  readonly packets?: number;
  readonly fragments?: number;
  readonly held?: number;
  readonly heldPerPacket?: number;
  readonly timeoutMs?: number;
  readonly lingerMs?: number;
}

export interface FragmentFate {
  readonly number: number;
  readonly verdict: "pass" | "hold" | "drop";
  readonly reason: string;
  readonly ipProto: number;
  readonly ports: readonly [number, number];
}

export interface Arrival {
  readonly atMs?: number;
  readonly zone?: number;
  /** If the capture cut the frame. */
  readonly wireLength?: number;
}

/** `pass 17 5000>53`, `drop overlap` or `hold`. */
export function textOf({ verdict, reason, ipProto, ports }: FragmentFate): string {
  if (verdict === "pass") return `pass ${ipProto} ${ports.join(">")}`;
  return verdict === "drop" ? `drop ${reason}` : "hold";
}

export class FragmentTable {
  readonly #harness = new LineHarness("fragment_harness");
  #frames = 0;

  /** Frames since the table was made; the number of the last one. */
  get frames(): number {
    return this.#frames;
  }

  /** Begins again with an empty table; frames are numbered from 1. */
  async make({
    packets = 64,
    fragments = 16,
    held = 32,
    heldPerPacket = 8,
    timeoutMs = 30_000,
    lingerMs = 100,
  }: FragmentLimits = {}): Promise<void> {
    this.#frames = 0;
    await this.#harness.ask(`table ${packets} ${fragments} ${held} ${heldPerPacket} ${timeoutMs} ${lingerMs} 7`);
  }

  /** What becomes of the frame, then of those that it released. */
  async admit(frame: Uint8Array, { atMs = 0, zone = 0, wireLength = 0 }: Arrival = {}): Promise<FragmentFate[]> {
    this.#frames += 1;
    const line = `frame ${this.#frames} ${atMs} ${zone} ${wireLength} ${frame.toHex()}`;
    return (await this.#harness.ask(line)) as FragmentFate[];
  }

  /** The same in words: `pass 17 5000>53, 1 pass 17 5000>53`. */
  async send(line: string, arrival: Arrival = {}): Promise<string> {
    const [own, ...released] = await this.admit(encodePacket(line), arrival);
    return [textOf(own as FragmentFate), ...released.map((fate) => `${fate.number} ${textOf(fate)}`)].join(", ");
  }

  async sendAll(...lines: readonly string[]): Promise<string[]> {
    const outcomes: string[] = [];
    for (const line of lines) outcomes.push(await this.send(line));
    return outcomes;
  }

  /** The numbers of held frames whose time is over. */
  async expire(atMs: number, room = 256): Promise<number[]> {
    return (await this.#harness.ask(`expire ${atMs} ${room}`)) as number[];
  }

  /** The first fragment of the frame's packet has come to that lane; the table is the first lane's. */
  async noteElsewhere(frame: Uint8Array, lane: number): Promise<void> {
    await this.#harness.ask(`elsewhere ${lane} ${frame.toHex()}`);
  }

  /** Whether that is still known. */
  async isKnown(frame: Uint8Array): Promise<boolean> {
    return ((await this.#harness.ask(`known 0 ${frame.toHex()}`)) as number[])[0] !== -1;
  }

  /** The numbers of frames that are released since another lane has their first one; a few packets are looked at. */
  leave = () => this.#harness.ask("leave") as Promise<number[]>;
  /** All that wait are to be looked at once more. */
  look = () => this.#harness.ask("look");
  looks = async () => ((await this.#harness.ask("looks")) as number[])[0] === 1;
  /** When the next frame's time is over, in milliseconds; empty if none is held. */
  next = () => this.#harness.ask("next");
  evicted = () => this.#harness.ask("evicted");
  close = () => this.#harness.close();
}
