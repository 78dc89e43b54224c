// What a function asks of the host on the packet path: messages in memory, carried out when its call has returned.
// Nothing here allocates. Everything returns false if the outbox is full; the host counts that.

import {
  MESSAGE_BIND,
  MESSAGE_CLOSE,
  MESSAGE_EMIT,
  MESSAGE_EXPECT,
  MESSAGE_FLAGS,
  MESSAGE_FLOW,
  MESSAGE_HEAD_BYTES,
  MESSAGE_KIND,
  MESSAGE_LENGTH,
  MESSAGE_LOG,
  MESSAGE_SHIFT,
  MESSAGE_TIMEOUT,
  MESSAGE_VALUE,
  OUTBOX_BYTES,
  OUTBOX_MESSAGES,
  OUTBOX_REFUSED,
  OUTBOX_USED,
} from "./abi";
import { fill } from "./bytes";
import { outboxAddress } from "./context";
import { Flow } from "./flow";
import { encodeUtf8 } from "./utf8";

const CAPACITY: u32 = OUTBOX_BYTES - OUTBOX_MESSAGES;
const TUPLE_BYTES: u32 = 36;
/** UTF-8 needs at most this much per UTF-16 code unit. */
const UTF8_BYTES: u32 = 3;

/** Address of the next message's body; 0, and counted, if one of so many bytes does not fit. */
function reserveBody(bytes: u32): usize {
  const used = load<u32>(outboxAddress, OUTBOX_USED);
  if (bytes <= CAPACITY && used + MESSAGE_HEAD_BYTES + bytes <= CAPACITY) {
    return outboxAddress + OUTBOX_MESSAGES + used + MESSAGE_HEAD_BYTES;
  }
  store<u32>(outboxAddress, load<u32>(outboxAddress, OUTBOX_REFUSED) + 1, OUTBOX_REFUSED);
  return 0;
}

/** Bytes that fill a body of that length up to a message's unit of 8. */
@inline
function paddingOf(bytes: u32): u32 {
  return -bytes & 7;
}

/** Appends a message whose body of so many bytes stands where reserveBody said. For the SDK itself. */
export function submitMessage(kind: u32, flags: u32, bytes: u32, flow: Flow | null, value: u32): bool {
  const body = reserveBody(bytes);
  if (body == 0) return false;
  const padding = paddingOf(bytes);
  fill(body + bytes, 0, padding);
  const message = body - MESSAGE_HEAD_BYTES;
  const length = MESSAGE_HEAD_BYTES + bytes + padding;
  store<u16>(message, kind, MESSAGE_KIND);
  store<u16>(message, flags, MESSAGE_FLAGS);
  store<u32>(message, length, MESSAGE_LENGTH);
  store<u32>(message, <u32>changetype<usize>(flow), MESSAGE_FLOW);
  store<u32>(message, value, MESSAGE_VALUE);
  store<u32>(outboxAddress, load<u32>(outboxAddress, OUTBOX_USED) + length, OUTBOX_USED);
  return true;
}

/** Writes an IPv4 tuple; the message is still to be submitted. False if there is no room. */
function putTuple4(source: u32, sourcePort: u32, destination: u32, destinationPort: u32): bool {
  const body = reserveBody(TUPLE_BYTES);
  if (body == 0) return false;
  fill(body, 0, TUPLE_BYTES);
  store<u32>(body, bswap<u32>(source));
  store<u32>(body, bswap<u32>(destination), 16);
  store<u16>(body, <u16>sourcePort, 32);
  store<u16>(body, <u16>destinationPort, 34);
  return true;
}

/** The same for IPv6; an address is its high and low 64 bits. */
function putTuple6(
  sourceHigh: u64,
  sourceLow: u64,
  sourcePort: u32,
  destinationHigh: u64,
  destinationLow: u64,
  destinationPort: u32,
): bool {
  const body = reserveBody(TUPLE_BYTES);
  if (body == 0) return false;
  store<u64>(body, bswap<u64>(sourceHigh));
  store<u64>(body, bswap<u64>(sourceLow), 8);
  store<u64>(body, bswap<u64>(destinationHigh), 16);
  store<u64>(body, bswap<u64>(destinationLow), 24);
  store<u16>(body, <u16>sourcePort, 32);
  store<u16>(body, <u16>destinationPort, 34);
  return true;
}

export namespace outbox {
  /**
   * Gives a flow its second tuple, of IPv4: packets from `source` to `destination` are its replies, too. Addresses and
   * ports as the replies have them when they enter the chain; both ports are the identifier for ICMP echoes. The flow
   * itself may be of IPv6.
   */
  export function bind4(flow: Flow, source: u32, sourcePort: u32, destination: u32, destinationPort: u32): bool {
    const hasRoom = putTuple4(source, sourcePort, destination, destinationPort);
    return hasRoom && submitMessage(MESSAGE_BIND, 4, TUPLE_BYTES, flow, 0);
  }

  /** The same for IPv6; an address is its high and low 64 bits. */
  export function bind6(
    flow: Flow,
    sourceHigh: u64,
    sourceLow: u64,
    sourcePort: u32,
    destinationHigh: u64,
    destinationLow: u64,
    destinationPort: u32,
  ): bool {
    const hasRoom = putTuple6(sourceHigh, sourceLow, sourcePort, destinationHigh, destinationLow, destinationPort);
    return hasRoom && submitMessage(MESSAGE_BIND, 6, TUPLE_BYTES, flow, 0);
  }

  /**
   * The function adds `shift` to the TCP sequence numbers of that direction from now on: the host's tracker, which sees
   * packets as they enter, turns the acknowledgements of the other direction back by it. In place of an earlier one.
   */
  export function shift(flow: Flow, direction: u32, shift: u32): bool {
    return submitMessage(MESSAGE_SHIFT, direction, 0, flow, shift);
  }

  /**
   * A flow whose first packet enters the chain with this tuple is related to `flow`, if it begins within that time. Source
   * and its port may be 0, for any.
   */
  export function expect4(
    flow: Flow,
    ipProto: u32,
    source: u32,
    sourcePort: u32,
    destination: u32,
    destinationPort: u32,
    milliseconds: u32,
  ): bool {
    const hasRoom = putTuple4(source, sourcePort, destination, destinationPort);
    return hasRoom && submitMessage(MESSAGE_EXPECT, ipProto, TUPLE_BYTES, flow, milliseconds);
  }

  /** The same for IPv6, as `flow` is. */
  export function expect6(
    flow: Flow,
    ipProto: u32,
    sourceHigh: u64,
    sourceLow: u64,
    sourcePort: u32,
    destinationHigh: u64,
    destinationLow: u64,
    destinationPort: u32,
    milliseconds: u32,
  ): bool {
    const hasRoom = putTuple6(sourceHigh, sourceLow, sourcePort, destinationHigh, destinationLow, destinationPort);
    return hasRoom && submitMessage(MESSAGE_EXPECT, ipProto, TUPLE_BYTES, flow, milliseconds);
  }

  /**
   * Where to build a frame of so many bytes, from its link header on; 0 if there is no room. The bytes are what earlier
   * messages left there. `emit` sends it; until then nothing else may be put into the outbox.
   */
  export function reserve(bytes: u32): usize {
    return reserveBody(bytes);
  }

  /** Sends the frame that was built where `reserve` said out of a port, past all functions. */
  export function emit(port: u32, bytes: u32, flow: Flow | null = null): bool {
    return submitMessage(MESSAGE_EMIT, paddingOf(bytes), bytes, flow, port);
  }

  /** The flow ends if no packet comes for so long; 0 gives it back the timeout of its state. */
  export function timeout(flow: Flow, milliseconds: u32): bool {
    return submitMessage(MESSAGE_TIMEOUT, 0, 0, flow, milliseconds);
  }

  /** Ends the flow. Its next packet begins a new one. */
  export function close(flow: Flow): bool {
    return submitMessage(MESSAGE_CLOSE, 0, 0, flow, 0);
  }

  /** A line for the operator whose bytes of UTF-8 were written where `reserve` said; `level` is one of LOG_*. */
  export function logText(level: i32, bytes: u32, flow: Flow | null = null): bool {
    return submitMessage(MESSAGE_LOG, level, bytes, flow, 0);
  }

  /** A line for the operator, of constant text; `level` is one of LOG_*. For rare things: what is too much is lost. */
  export function log(level: i32, text: string, flow: Flow | null = null): bool {
    const body = reserveBody(<u32>text.length * UTF8_BYTES);
    return body != 0 && submitMessage(MESSAGE_LOG, level, encodeUtf8(text, body), flow, 0);
  }
}
