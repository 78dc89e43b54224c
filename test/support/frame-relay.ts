// Frames onto devices of several namespaces, and what arrives on any of them: test/native/frame_relay.cc.
import { type ChildProcess, spawn } from "node:child_process";
import type { Namespace } from "../../runtime/testing/network.ts";
import { nativeProgram } from "./afxdp.ts";

export interface RelayEnd {
  readonly namespace: Namespace;
  readonly device: string;
}

/** A frame at one of the ends, by its index. */
export interface RelayedFrame {
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** What frames end with that follow all others: once they have arrived, whatever has not is lost. */
export const MARKER = Buffer.from("sluicemk");

const HEADER_BYTES = 4;

export class FrameRelay {
  readonly #child: ChildProcess;
  #received = Buffer.alloc(0);
  #ended = "";
  #wake: () => void = () => {};

  constructor(ends: readonly RelayEnd[]) {
    const args = ends.flatMap(({ namespace, device }) => [namespace.name, device]);
    this.#child = spawn(nativeProgram("frame_relay"), args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#ended += chunk.toString()));
    this.#child.once("close", (status) => {
      this.#ended += ` frame_relay ended with ${status}`;
      this.#wake();
    });
  }

  /** Sends frames in order, markers last, and returns what came until all markers were there. */
  async exchange(frames: readonly RelayedFrame[]): Promise<readonly RelayedFrame[]> {
    const body = Buffer.concat(frames.flatMap(({ end, bytes }) => [headerOf(end, bytes.length), bytes]));
    const length = Buffer.alloc(HEADER_BYTES);
    length.writeUInt32LE(body.length);
    this.#child.stdin?.write(Buffer.concat([length, body]));
    return readFrames(await this.#answer());
  }

  close(): void {
    this.#child.stdin?.end();
  }

  async #answer(): Promise<Buffer> {
    for (;;) {
      const whole = this.#received.length < HEADER_BYTES ? Infinity : HEADER_BYTES + this.#received.readUInt32LE(0);
      if (this.#received.length >= whole) {
        const answer = this.#received.subarray(HEADER_BYTES, whole);
        this.#received = this.#received.subarray(whole);
        return answer;
      }
      if (this.#child.exitCode !== null) throw new Error(this.#ended);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function headerOf(end: number, length: number): Buffer {
  const header = Buffer.from([end, 0, 0, 0]);
  header.writeUInt16LE(length, 2);
  return header;
}

function readFrames(body: Buffer): RelayedFrame[] {
  const frames: RelayedFrame[] = [];
  for (let at = 0; at + HEADER_BYTES <= body.length; ) {
    const next = at + HEADER_BYTES + body.readUInt16LE(at + 2);
    frames.push({ end: body.readUInt8(at), bytes: body.subarray(at + HEADER_BYTES, next) });
    at = next;
  }
  return frames;
}
