// FTP control connections (RFC 959, RFC 2428): lines that name an endpoint name the one outside in its place, and the
// data connection is expected. ftp-lines.ts reads the lines; tcp-stream.ts has them in order.
//
// Of what could be the beginning of such a command the argument is kept back until the line is complete.
import { Counter, Flow, Packet } from "../sdk";
import { keptBack, readLine } from "./ftp-lines";
import { keptBack64, readLine64 } from "./ftp64";
import { controls, PROTOCOL_FTP, PROTOCOL_NONE, streamAt } from "./protocol-store";
import { CROSSES, Session } from "./store";
import { keptOf, LINE_BYTES, Stream } from "./streams";
import { passStream } from "./tcp-stream";

const unfinished = new Counter("ftp_unfinished");
const untracked = new Counter("ftp_untracked");

const LINE_FEED: u8 = 10;

/** False if the packet goes no further. */
export function passFtp(packet: Packet, flow: Flow, session: Session): bool {
  const tcp = packet.tcp;
  if (tcp === null) return true;
  if (session.control == PROTOCOL_FTP) session.control = controls.take();
  if (session.control == PROTOCOL_NONE) {
    untracked.add();
    return true;
  }
  const direction: u32 = packet.direction;
  const stream = streamAt(session.control, direction);
  return passStream(packet, tcp, flow, session, stream, streamAt(session.control, direction ^ 1));
}

/** Bytes that are new: line by line. */
export function readLines(at: usize, bytes: u32, flow: Flow, session: Session, stream: Stream, direction: u32): void {
  const line = keptOf(stream);
  const first = stream.expected;
  const crosses = (session.families & CROSSES) != 0;
  for (let i: u32 = 0; i < bytes; i++) {
    const byte = load<u8>(at + i);
    if (stream.skips == 0) {
      store<u8>(line + stream.keptBytes, byte);
      stream.keptBytes++;
    }
    const isFull = stream.keptBytes == LINE_BYTES;
    if (byte == LINE_FEED) {
      const sequence = first + i + 1 - stream.keptBytes;
      if (stream.skips == 0 && !crosses) readLine(flow, session, stream, direction, sequence);
      else if (stream.skips == 0) readLine64(flow, session, stream, direction, sequence);
      stream.skips = 0;
      stream.keptBytes = 0;
    } else if (isFull) {
      stream.skips = 1;
      stream.keptBytes = 0;
    }
  }
  if (stream.skips != 0) stream.heldBytes = 0;
  else if (crosses) stream.heldBytes = <u16>keptBack64(line, stream.keptBytes, direction);
  else stream.heldBytes = <u16>keptBack(line, stream.keptBytes, direction);
}

/** The rest of the line passes as it comes. */
export function skipLine(stream: Stream): void {
  unfinished.add();
  stream.keptBytes = 0;
  stream.skips = 1;
}
