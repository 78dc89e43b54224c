// FTP control connections (RFC 959, RFC 2428): lines that name an endpoint name the one outside in its place, and the
// data connection is expected. The stream is looked at in order; ftp-lines.ts reads the lines.
//
// What could be the beginning of such a command is kept back with its argument until the line is complete: it goes out
// with the segment that completes it. If it comes again alone, it passes as it is, and so does the rest of the line.
import { Counter, Flow, OFFSET_NONE, outbox, Packet, Reason, Tcp } from "../sdk";
import { keptBack, readLine } from "./ftp-lines";
import { isSound, resizePayload, scratch, SCRATCH_BYTES } from "./payload";
import { controls, PROTOCOL_FTP, PROTOCOL_NONE, lineOf, LINE_BYTES, Stream, streamAt } from "./protocol-store";
import { isAfter, isEdited, map, mendBy, splice, turnAcknowledgement, turnSequence } from "./sequence";
import { Session } from "./store";

const order = new Reason("ftp-order");
const incomplete = new Reason("ftp-incomplete");
const badChecksum = new Reason("bad-checksum");
const unfinished = new Counter("ftp_unfinished");
const untracked = new Counter("ftp_untracked");

const LINE_FEED: u8 = 10;

/** False if the packet goes no further. */
export function passFtp(packet: Packet, flow: Flow, session: Session): bool {
  const tcp = packet.tcp;
  if (tcp === null || packet.isFragment) return true;
  if (session.control == PROTOCOL_FTP) session.control = controls.take();
  if (session.control == PROTOCOL_NONE) {
    untracked.add();
    return true;
  }
  const bytes = packet.isCut || packet.payloadOffset == OFFSET_NONE ? 0 : packet.payloadLength;
  if (bytes > 0 && !isSound(packet)) {
    packet.drop(badChecksum);
    return false;
  }
  const stream = streamAt(session.control, packet.direction);
  if (tcp.syn) begin(stream, tcp.sequence + 1);
  const change = turnAcknowledgement(tcp, streamAt(session.control, packet.direction ^ 1));
  if (bytes == 0 || tcp.syn) {
    mendBy(tcp, change + turnSequence(tcp, stream.isKnown != 0 ? map(stream, tcp.sequence) : tcp.sequence));
    return true;
  }
  mendBy(tcp, change);
  if (stream.isKnown == 0) begin(stream, tcp.sequence);
  return passData(packet, tcp, flow, session, stream);
}

function begin(stream: Stream, number: u32): void {
  if (stream.editCount > 0) return;
  stream.isKnown = 1;
  stream.expected = number;
  stream.acknowledged = number;
}

function passData(packet: Packet, tcp: Tcp, flow: Flow, session: Session, stream: Stream): bool {
  const start = tcp.sequence;
  const end = start + packet.payloadLength;
  const kept = stream.expected - stream.heldBytes;
  if (isAfter(start, stream.expected)) {
    packet.drop(order);
    return false;
  }
  // What was kept back before this segment goes out with it.
  const from = isAfter(start, kept) ? kept : start;
  if (start - from + packet.payloadLength > SCRATCH_BYTES) {
    packet.drop(order);
    return false;
  }
  gather(packet, stream, start, from);
  if (isAfter(end, stream.expected)) {
    const before = stream.shift;
    read(scratch + (stream.expected - from), end - stream.expected, flow, session, stream, packet.direction);
    if (stream.shift != before) outbox.shift(flow, packet.direction, stream.shift);
    stream.expected = end;
  } else if (stream.heldBytes > 0 && !isAfter(kept, start)) giveUp(stream);
  if (tcp.fin) stream.heldBytes = 0;
  const passed = stream.expected - stream.heldBytes;
  return letOn(packet, tcp, stream, start, from, isAfter(end, passed) ? passed : end, end);
}

/** The sender's bytes from `from` on, one behind the other. */
function gather(packet: Packet, stream: Stream, start: u32, from: u32): void {
  const line = lineOf(stream) + (<u32>stream.lineBytes - stream.heldBytes);
  const held = start - from;
  for (let i: u32 = 0; i < held; i++) store<u8>(scratch + i, load<u8>(line + i));
  const bytes = packet.payloadLength;
  const payload = packet.payload;
  for (let i: u32 = 0; i < bytes; i++) store<u8>(scratch + held + i, load<u8>(payload + i));
}

/** Bytes that are new: line by line. */
function read(at: usize, bytes: u32, flow: Flow, session: Session, stream: Stream, direction: u32): void {
  const line = lineOf(stream);
  const first = stream.expected;
  for (let i: u32 = 0; i < bytes; i++) {
    const byte = load<u8>(at + i);
    if (stream.skips == 0) {
      store<u8>(line + stream.lineBytes, byte);
      stream.lineBytes++;
    }
    const isFull = stream.lineBytes == LINE_BYTES;
    if (byte == LINE_FEED) {
      if (stream.skips == 0) readLine(flow, session, stream, direction, first + i + 1 - stream.lineBytes);
      stream.skips = 0;
      stream.lineBytes = 0;
    } else if (isFull) {
      stream.skips = 1;
      stream.lineBytes = 0;
    }
  }
  stream.heldBytes = stream.skips != 0 ? 0 : <u16>keptBack(line, stream.lineBytes, direction);
}

function giveUp(stream: Stream): void {
  unfinished.add();
  stream.heldBytes = 0;
  stream.lineBytes = 0;
  stream.skips = 1;
}

/** The sender's [from, to), as the receiver gets them. */
function letOn(packet: Packet, tcp: Tcp, stream: Stream, start: u32, from: u32, to: u32, end: u32): bool {
  if (!isAfter(to, from)) {
    packet.drop(incomplete);
    return false;
  }
  const number = map(stream, from);
  if (from == start && to == end && !isEdited(stream, from, to)) {
    mendBy(tcp, turnSequence(tcp, number));
    return true;
  }
  if (tcp.urg) tcp.urgentPointer = map(stream, start + tcp.urgentPointer) - number;
  tcp.sequence = number;
  const target = scratch + SCRATCH_BYTES;
  const bytes = splice(stream, from, to, scratch, target);
  if (to != end) tcp.fin = false;
  return resizePayload(packet, target, bytes);
}
