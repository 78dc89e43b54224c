// What a function put into its outbox, in words (nfs/sdk/ABI.md, section 13).
import {
  MESSAGE_BIND,
  MESSAGE_CLOSE,
  MESSAGE_EMIT,
  MESSAGE_EVENT,
  MESSAGE_EXPECT,
  MESSAGE_FLAGS,
  MESSAGE_FLOW,
  MESSAGE_HEAD_BYTES,
  MESSAGE_KIND,
  MESSAGE_LABEL,
  MESSAGE_LENGTH,
  MESSAGE_LOG,
  MESSAGE_SHIFT,
  MESSAGE_TIMEOUT,
  MESSAGE_VALUE,
  OUTBOX_BYTES,
  OUTBOX_MESSAGES,
  OUTBOX_USED,
} from "../../../nfs/sdk/abi.ts";
import type { Plan } from "../../chain/plan.ts";
import { formatAddress } from "../../telemetry/eve.ts";
import { namesOfBits } from "./flow-sight.ts";
import type { TracedMessage } from "./trace-events.ts";

export interface OutboxMessage extends TracedMessage {
  /** 0: none. */
  readonly flow: number;
}

const LOG_LEVELS = ["debug", "info", "warn", "error"];
const BIND_PORTS = 32;
const BIND_BYTES = 36;

/** Trusts no length: reads as far as it holds together. */
export function readOutbox(outbox: DataView, plan: Plan): OutboxMessage[] {
  const messages: OutboxMessage[] = [];
  const end = Math.min(OUTBOX_MESSAGES + outbox.getUint32(OUTBOX_USED, true), OUTBOX_BYTES);
  for (let at = OUTBOX_MESSAGES; at + MESSAGE_HEAD_BYTES <= end; ) {
    const length = outbox.getUint32(at + MESSAGE_LENGTH, true);
    if (length < MESSAGE_HEAD_BYTES || at + length > end) break;
    messages.push(readMessage(new DataView(outbox.buffer, outbox.byteOffset + at, length), plan));
    at += length;
  }
  return messages;
}

function readMessage(message: DataView, plan: Plan): OutboxMessage {
  const flags = message.getUint16(MESSAGE_FLAGS, true);
  const flow = message.getUint32(MESSAGE_FLOW, true);
  const value = message.getUint32(MESSAGE_VALUE, true);
  const body = new Uint8Array(
    message.buffer,
    message.byteOffset + MESSAGE_HEAD_BYTES,
    message.byteLength - MESSAGE_HEAD_BYTES,
  );
  const say = (kind: TracedMessage["kind"], what: string, bytes: Uint8Array | null = null): OutboxMessage => {
    return { kind, flow, what, bytes: bytes === null ? null : Buffer.from(bytes).toString("hex") };
  };
  switch (message.getUint16(MESSAGE_KIND, true)) {
    case MESSAGE_BIND:
      return say("bind", `replies ${describeTuple(body)}`);
    case MESSAGE_EMIT:
      return say(
        "emit",
        `on ${plan.ports[value]?.name ?? `port ${value}`}`,
        body.slice(0, Math.max(0, body.length - flags)),
      );
    case MESSAGE_EVENT:
      return say("event", `${plan.events[flags] || `bit ${flags}`} ${value}`);
    case MESSAGE_TIMEOUT:
      return say("timeout", value === 0 ? "the state's own" : `${value} ms`);
    case MESSAGE_CLOSE:
      return say("close", "");
    case MESSAGE_LOG:
      return say("log", `${LOG_LEVELS[flags] ?? "info"}: ${Buffer.from(body).toString().replace(/\0+$/, "")}`);
    case MESSAGE_LABEL:
      return say("label", `${(flags & 1) === 1 ? "set" : "clear"} ${namesOfBits(value, plan.labels).join(", ")}`);
    case MESSAGE_SHIFT:
      return say("shift", `direction ${flags} by ${value | 0}`);
    case MESSAGE_EXPECT:
      return say("expect", `protocol ${flags} ${describeTuple(body)} within ${value} ms`);
    default:
      return say("unknown", "");
  }
}

/** From where to where: IPv4 addresses have 12 zeros behind them. */
function describeTuple(body: Uint8Array): string {
  if (body.length < BIND_BYTES) return "";
  const ports = new DataView(body.buffer, body.byteOffset + BIND_PORTS, 4);
  const isIpv4 = [body.subarray(4, 16), body.subarray(20, 32)].every((rest) => rest.every((byte) => byte === 0));
  const end = (at: number, port: number) => {
    const address = formatAddress(body.slice(at, at + (isIpv4 ? 4 : 16)));
    return `${isIpv4 ? address : `[${address}]`}:${ports.getUint16(port, true)}`;
  };
  return `${end(0, 0)} > ${end(16, 2)}`;
}
