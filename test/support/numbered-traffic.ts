// Numbered UDP packets from one side to the other, so that every one that is lost, comes twice or late is known.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Namespace } from "../../runtime/testing/network.ts";
import { nativeProgram } from "./afxdp.ts";
import { RIGHT, readMac, type TwoSides } from "./two-sides.ts";

export interface NumberedOptions {
  /** Packets per second. */
  readonly rate: number;
  /** Sources that send in turn. */
  readonly flows?: number;
  /** Ends by itself after so many. */
  readonly packets?: number;
  /** Where they go first, and at last; the right side's own unless said. */
  readonly to?: { readonly mac: string; readonly address: string };
  /** The receiver answers each. */
  readonly answered?: boolean;
}

export interface NumberedOutcome {
  readonly sent: number;
  readonly seconds: number;
  /** Sent and never received, without those that the receiver's own socket had no room for. */
  readonly lost: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly overflowed: number;
  /** Not sent, since the sender did not get the processor in time. */
  readonly skipped: number;
  /** Between two packets, at the sender and at the receiver. */
  readonly longestSendGapUs: number;
  readonly longestGapUs: number;
  /** The longest gap at the receiver, beyond the gap with which the two packets were sent. */
  readonly longestStallUs: number;
  /** From the sender's clock to the kernel's timestamp at the receiver. */
  readonly delayUs: { readonly median: number; readonly p99: number; readonly longest: number };
}

interface Sent extends Pick<NumberedOutcome, "sent" | "skipped" | "seconds"> {
  readonly longestGapUs: number;
}

type Received = Pick<NumberedOutcome, "duplicates" | "reordered" | "overflowed" | "longestGapUs" | "longestStallUs"> & {
  readonly received: number;
  readonly delayUs: NumberedOutcome["delayUs"];
};

const PORT = 9000;
/** What is under way when the sender ends has arrived by then. */
const ARRIVAL_MS = 200;

/** Runs until it is stopped. */
export class NumberedTraffic {
  readonly #sender: Program;
  readonly #receiver: Program;

  private constructor(sender: Program, receiver: Program) {
    this.#sender = sender;
    this.#receiver = receiver;
  }

  static async start(
    { left, right }: Pick<TwoSides, "left" | "right">,
    options: NumberedOptions,
  ): Promise<NumberedTraffic> {
    const { rate, flows = 1, packets = 0 } = options;
    const receiver = new Program(right, "numbered_receiver", [String(PORT), ...(options.answered ? ["answer"] : [])]);
    await once(receiver.output, "data");
    const counts = [rate, flows, packets].map(String);
    const { mac, address } = options.to ?? { mac: await readMac(right), address: RIGHT };
    const sender = new Program(left, "numbered_sender", [...["eth0", mac, address, String(PORT)], ...counts]);
    return new NumberedTraffic(sender, receiver);
  }

  /** At once, or when all `packets` were sent. */
  async stop(when: "now" | "sent" = "now"): Promise<NumberedOutcome> {
    const { longestGapUs: longestSendGapUs, ...sent } = (await this.#sender.end(when === "now")) as Sent;
    await sleep(ARRIVAL_MS);
    const { received, ...arrived } = (await this.#receiver.end(true)) as Received;
    const lost = sent.sent - (received - arrived.duplicates) - arrived.overflowed;
    return { ...sent, ...arrived, lost, longestSendGapUs };
  }
}

/** One of test/bench's, which prints a line of JSON when it ends. */
class Program {
  readonly output: Readable;
  readonly #child: ChildProcess;
  readonly #text: Promise<string>;

  constructor(namespace: Namespace, name: string, args: readonly string[]) {
    this.#child = namespace.spawn(nativeProgram(name), args, { stdio: ["ignore", "pipe", "inherit"] });
    this.output = this.#child.stdout as Readable;
    this.#text = text(this.output);
  }

  async end(now: boolean): Promise<unknown> {
    if (now) this.#child.kill("SIGTERM");
    return JSON.parse((await this.#text).trim().split("\n").at(-1) ?? "");
  }
}
