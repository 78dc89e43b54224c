// SIP over TCP (RFC 3261, section 18.3): messages one behind the other, each as long as its Content-Length says, which are
// rewritten as those of UDP are; tcp-stream.ts has them in order. A message is kept back until it is complete.
//
// Where one message ends and the next begins has to be known: a stream in which that is lost passes as it is from there on.
import { Counter, equal, Flow, IP_PROTO_TCP, Packet } from "../sdk";
import { letGo } from "./addresses";
import { ownAddress, seenAddress } from "./announce";
import { addDifference } from "./difference";
import { hasConnection, messagesAt, takeConnection } from "./message-store";
import { PROTOCOL_NONE } from "./protocol-store";
import { refused } from "./sdp";
import { malformed, rewritten, tooLong } from "./sip";
import { beginMessage } from "./sip-endpoints";
import { bodyLength, endOfLine, isStartLine, readHeaders } from "./sip-headers";
import { endOfHeaders, message, putMessage } from "./sip-message";
import { keepRegistration } from "./sip-registrations";
import { Session } from "./store";
import { keptOf, MESSAGE_BYTES, Stream } from "./streams";
import { passStream } from "./tcp-stream";

const unfinished = new Counter("sip_unfinished");
const untracked = new Counter("sip_untracked");

const IN_BODY: u32 = 0x80000000;
/** In Stream.left, in a head: its first line is one that messages begin with. */
const BEGUN: u32 = 1;
// Of Stream.skips.
const REWRITES: u8 = 0;
const MESSAGE_PASSES: u8 = 1;
const ALL_PASSES: u8 = 2;

const TAB: u32 = 9;
const LINE_FEED: u32 = 10;
const CARRIAGE_RETURN: u32 = 13;
const SPACE: u32 = 32;

/** False if the packet goes no further. */
export function passSipStream(packet: Packet, flow: Flow, session: Session): bool {
  const tcp = packet.tcp;
  if (tcp === null) return true;
  if (session.connection == 0) {
    // A call that nobody answers needs no room, nor does one that is refused.
    if ((tcp.syn && !tcp.ack) || tcp.rst) return true;
    takeConnection(session);
  }
  if (!hasConnection(session)) {
    untracked.add();
    session.connection = 0;
    session.control = PROTOCOL_NONE;
    return true;
  }
  const direction: u32 = packet.direction;
  const stream = messagesAt(session.connection, direction);
  return passStream(packet, tcp, flow, session, stream, messagesAt(session.connection, direction ^ 1));
}

/** Bytes that are new: message by message. */
export function readMessages(
  at: usize,
  bytes: u32,
  flow: Flow,
  session: Session,
  stream: Stream,
  direction: u32,
): void {
  let done: u32 = 0;
  while (done < bytes && stream.skips != ALL_PASSES) {
    const isInBody = (stream.left & IN_BODY) != 0;
    done += isInBody ? readBody(at + done, bytes - done, stream) : readHead(at + done, bytes - done, stream);
    if (stream.left == IN_BODY) endMessage(flow, session, stream, direction, stream.expected + done);
  }
  stream.heldBytes = stream.skips == REWRITES ? stream.keptBytes : 0;
}

/** Up to the empty line. Empty lines before a message keep the connection alive (RFC 5626, section 3.5.1). */
function readHead(at: usize, bytes: u32, stream: Stream): u32 {
  const kept = keptOf(stream);
  for (let i: u32 = 0; i < bytes; i++) {
    const byte = <u32>load<u8>(at + i);
    if (stream.keptBytes == 0 && (byte == CARRIAGE_RETURN || byte == LINE_FEED)) continue;
    store<u8>(kept + stream.keptBytes, <u8>byte);
    stream.keptBytes++;
    const isText = byte >= SPACE || byte == CARRIAGE_RETURN || byte == LINE_FEED || byte == TAB;
    if (!isText || stream.keptBytes == MESSAGE_BYTES || (byte == LINE_FEED && !isOfMessage(kept, stream))) {
      lose(stream);
      return i + 1;
    }
    if (byte == LINE_FEED && isEnd(kept, stream.keptBytes)) {
      beginBody(stream);
      return i + 1;
    }
  }
  return bytes;
}

/** Whether the line that has just ended is not a first one, or is one that messages begin with. Each is looked at once. */
function isOfMessage(kept: usize, stream: Stream): bool {
  if (stream.left == BEGUN) return true;
  const end = kept + stream.keptBytes;
  stream.left = BEGUN;
  return endOfLine(kept, end) != end || isStartLine(kept, end);
}

/** Whether the line that has just ended is empty. */
function isEnd(kept: usize, bytes: u32): bool {
  const last = kept + bytes - 1;
  const before = load<u8>(last - 1) == <u8>CARRIAGE_RETURN ? last - 2 : last - 1;
  return before > kept && load<u8>(before) == <u8>LINE_FEED;
}

function lose(stream: Stream): void {
  malformed.add();
  stream.skips = ALL_PASSES;
  stream.keptBytes = 0;
}

function beginBody(stream: Stream): void {
  const kept = keptOf(stream);
  if (!readHeaders(kept, kept + stream.keptBytes) || bodyLength < 0) return lose(stream);
  stream.left = IN_BODY | (<u32>bodyLength);
  if (stream.skips != REWRITES || <u32>stream.keptBytes + <u32>bodyLength <= MESSAGE_BYTES) return;
  tooLong.add();
  stream.skips = MESSAGE_PASSES;
}

function readBody(at: usize, bytes: u32, stream: Stream): u32 {
  const count = min<u32>(bytes, stream.left & ~IN_BODY);
  stream.left -= count;
  if (stream.skips != REWRITES) return count;
  const to = keptOf(stream) + stream.keptBytes;
  for (let i: u32 = 0; i < count; i++) store<u8>(to + i, load<u8>(at + i));
  stream.keptBytes += <u16>count;
  return count;
}

/** A whole message, behind whose last byte that number is. */
function endMessage(flow: Flow, session: Session, stream: Stream, direction: u32, number: u32): void {
  if (stream.skips == REWRITES) translate(flow, session, stream, direction, number - stream.keptBytes);
  stream.keptBytes = 0;
  stream.left = 0;
  stream.skips = REWRITES;
}

function translate(flow: Flow, session: Session, stream: Stream, direction: u32, number: u32): void {
  const from = keptOf(stream);
  const bytes: u32 = stream.keptBytes;
  const body = endOfHeaders(from, from + bytes);
  if (body == 0 || !readHeaders(from, body)) return malformed.add();
  beginMessage(flow, IP_PROTO_TCP, session, direction);
  const length = putMessage(from, body, from + bytes);
  keepRegistration(seenAddress(session, 1), ownAddress(session, 1));
  letGo();
  if (length == 0) return tooLong.add();
  if (length == bytes && equal(from, message, bytes)) return;
  if (addDifference(stream, number, from, bytes, message, length)) rewritten.add();
  else refused.add();
}

/** The rest of the message passes as it comes. */
export function skipMessage(stream: Stream): void {
  unfinished.add();
  if (stream.skips == REWRITES) stream.skips = MESSAGE_PASSES;
}
