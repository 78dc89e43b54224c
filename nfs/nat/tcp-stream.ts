// TCP payload that is read in order, so that some of it may be replaced: FTP's lines, SIP's messages.
//
// What is not complete and may have to be changed is kept back: it goes out with the segment that completes it. If it comes
// again alone, it passes as it is, and so does the rest of it.
import { OFFSET_NONE, outbox, Flow, Packet, Reason, Tcp, TCP_OPTION_MSS } from "../sdk";
import { readLines, skipLine } from "./ftp";
import { isSound, resizePayload, scratch, SCRATCH_BYTES } from "./payload";
import { segmentRoom } from "./room";
import { forgetFarBack, isAfter, isEdited, map, mendBy, splice, turnAcknowledgement, turnSequence } from "./sequence";
import { readMessages, skipMessage } from "./sip-stream";
import { Session } from "./store";
import { AGREED, BEGUN, isChanged, keptOf, READS_LINES, segmentLimit, setSegmentLimit, Stream } from "./streams";

const ftpOrder = new Reason("ftp-order");
const ftpIncomplete = new Reason("ftp-incomplete");
const sipOrder = new Reason("sip-order");
const sipIncomplete = new Reason("sip-incomplete");
const badChecksum = new Reason("bad-checksum");
const streamFragment = new Reason("stream-fragment");

/** A segment of `stream`, and what it acknowledges of `other`. False if it goes no further. */
export function passStream(
  packet: Packet,
  tcp: Tcp,
  flow: Flow,
  session: Session,
  stream: Stream,
  other: Stream,
): bool {
  if (packet.isFragment) return passPiece(packet, stream, other);
  if (tcp.syn) return passSyn(packet, tcp, stream, other);
  const bytes = packet.isCut || packet.payloadOffset == OFFSET_NONE ? 0 : packet.payloadLength;
  if (bytes > 0 && !isSound(packet)) {
    packet.drop(badChecksum);
    return false;
  }
  agree(tcp, stream, other);
  const change = turnAcknowledgement(tcp, other);
  if (bytes == 0) {
    mendBy(tcp, change + turnSequence(tcp, stream.isKnown != 0 ? map(stream, tcp.sequence) : tcp.sequence));
    return true;
  }
  mendBy(tcp, change);
  if (stream.isKnown == 0) begin(stream, tcp.sequence);
  return passData(packet, tcp, flow, session, stream);
}

/** Its numbers cannot be shifted: only one that is whole has a checksum that can be mended. */
function passPiece(packet: Packet, stream: Stream, other: Stream): bool {
  if (!isChanged(stream) && !isChanged(other)) return true;
  packet.drop(streamFragment);
  return false;
}

/** One that comes again, late or forged begins nothing: its receiver answers it with what it has (RFC 5961, section 4). */
function passSyn(packet: Packet, tcp: Tcp, stream: Stream, other: Stream): bool {
  if (stream.isKnown != AGREED) begin(stream, tcp.sequence + 1);
  if (other.isKnown == AGREED) return true;
  if (tcp.ack) beginBehind(other, tcp.acknowledgement);
  const option = tcp.findOption(TCP_OPTION_MSS);
  if (option === null || option.length != 4) return true;
  setSegmentLimit(other, packet.direction ^ 1, bswap<u16>(load<u16>(option.data)));
  return true;
}

function begin(stream: Stream, number: u32): void {
  stream.isKnown = BEGUN;
  stream.expected = number;
  stream.acknowledged = number;
}

/** What came with the first SYN is acknowledged by the second one, or comes again (RFC 7413). */
function beginBehind(stream: Stream, number: u32): void {
  if (stream.isKnown == 0 || isAfter(number, stream.expected)) begin(stream, number);
}

/** Where a stream begins is certain as soon as its sender goes on from there, or its receiver says that it would. */
function agree(tcp: Tcp, stream: Stream, other: Stream): void {
  if (stream.isKnown == BEGUN && tcp.sequence == stream.expected) stream.isKnown = AGREED;
  if (other.isKnown == BEGUN && tcp.ack && tcp.acknowledgement == other.expected) other.isKnown = AGREED;
}

function passData(packet: Packet, tcp: Tcp, flow: Flow, session: Session, stream: Stream): bool {
  const start = tcp.sequence;
  const end = start + packet.payloadLength;
  const kept = stream.expected - stream.heldBytes;
  // What was kept back before this segment goes out with it.
  const from = isAfter(start, kept) ? kept : start;
  if (isAfter(start, stream.expected) || start - from + packet.payloadLength > SCRATCH_BYTES) {
    packet.drop(stream.reads == READS_LINES ? ftpOrder : sipOrder);
    return false;
  }
  gather(packet, stream, start, from);
  const comesAgain = isAfter(kept, start);
  if (isAfter(end, stream.expected)) {
    const before = stream.shift;
    read(scratch + (stream.expected - from), end - stream.expected, flow, session, stream, packet.direction);
    if (stream.shift != before) outbox.shift(flow, packet.direction, stream.shift);
    stream.expected = end;
    stream.isKnown = AGREED;
    forgetFarBack(stream);
  } else if (stream.heldBytes > 0 && !isAfter(kept, start)) giveUp(stream);
  if (tcp.fin && stream.heldBytes > 0) giveUp(stream);
  const passed = stream.expected - stream.heldBytes;
  const to = isAfter(end, passed) ? passed : end;
  if (from == start && to == end && !isEdited(stream, from, to)) {
    mendBy(tcp, turnSequence(tcp, map(stream, from)));
    return true;
  }
  const room = segmentRoom(packet, tcp, session, segmentLimit(stream, packet.direction), comesAgain);
  return letOn(packet, tcp, stream, start, from, to, room);
}

/** Bytes that are new. */
@inline
function read(at: usize, bytes: u32, flow: Flow, session: Session, stream: Stream, direction: u32): void {
  if (stream.reads == READS_LINES) readLines(at, bytes, flow, session, stream, direction);
  else readMessages(at, bytes, flow, session, stream, direction);
}

function giveUp(stream: Stream): void {
  stream.heldBytes = 0;
  if (stream.reads == READS_LINES) skipLine(stream);
  else skipMessage(stream);
}

/** The sender's bytes from `from` on, one behind the other. */
function gather(packet: Packet, stream: Stream, start: u32, from: u32): void {
  const line = keptOf(stream) + (<u32>stream.keptBytes - stream.heldBytes);
  const held = start - from;
  for (let i: u32 = 0; i < held; i++) store<u8>(scratch + i, load<u8>(line + i));
  const bytes = packet.payloadLength;
  const payload = packet.payload;
  for (let i: u32 = 0; i < bytes; i++) store<u8>(scratch + held + i, load<u8>(payload + i));
}

/**
 * The sender's [from, to), as the receiver gets them: of what gets too long for the way the end is left out, which its
 * sender sends again.
 */
function letOn(packet: Packet, tcp: Tcp, stream: Stream, start: u32, from: u32, to: u32, room: u32): bool {
  if (!isAfter(to, from)) {
    packet.drop(stream.reads == READS_LINES ? ftpIncomplete : sipIncomplete);
    return false;
  }
  const number = map(stream, from);
  const end = start + packet.payloadLength;
  if (tcp.urg) tcp.urgentPointer = map(stream, start + tcp.urgentPointer) - number;
  tcp.sequence = number;
  const target = scratch + SCRATCH_BYTES;
  const bytes = splice(stream, from, to, scratch, target, SCRATCH_BYTES);
  if (to != end || bytes > room) tcp.fin = false;
  return resizePayload(packet, target, min(bytes, room));
}
