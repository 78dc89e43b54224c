// The headers of a SIP message (RFC 3261), copied with other endpoints in the request line and in those fields that name
// some: Via, Contact, Route, Record-Route, From and To.
import {
  newAddress,
  newPort,
  receiverOwn,
  receiverOwnPort,
  receiverSeen,
  receiverSeenPort,
  translateAddress,
  translateEndpoint,
} from "./sip-endpoints";
import { beginsHost, host, putHost, putNoHost, takeBareHost, takeHost } from "./sip-hosts";
import { beginRegistration, readContact, readRegistration } from "./sip-registrations";
import {
  beginsWith,
  cursor,
  goTo,
  isDigit,
  peek,
  putByte,
  putBytes,
  putNumber,
  read,
  skip,
  take,
  takeNumber,
} from "./text";

export const DEFAULT_PORT: u32 = 5060;
const DOT: u32 = 0x2e;
const COLON: u32 = 0x3a;
const EQUALS: u32 = 0x3d;
const OPENING: u32 = 0x5b;
const LINE_FEED: u32 = 10;
const CARRIAGE_RETURN: u32 = 13;
const TAB: u32 = 9;
const SPACE: u32 = 32;

/** Content-Length of the message, -1 if it has none. */
export let bodyLength: i32 = -1;
export let hasDescription: bool = false;

/** Reads what has to be known before anything is written. False if these are no headers of SIP. */
export function readHeaders(from: usize, to: usize): bool {
  bodyLength = -1;
  hasDescription = false;
  beginRegistration(from, to);
  if (!isStartLine(from, endOfLine(from, to))) return false;
  for (let line = endOfLine(from, to); line < to; line = endOfLine(line, to)) {
    const end = endOfLine(line, to);
    const length = lengthIn(line, end);
    if (length != 0) {
      const before = bodyLength;
      bodyLength = numberAt(length, end);
      // Who reads one of them would find other messages than who reads the other.
      if (bodyLength < 0 || (before >= 0 && before != bodyLength)) return false;
    } else if (beginsWith(line, end, "content-type") || beginsWith(line, end, "c:")) {
      hasDescription = find(line, end, "application/sdp") != 0;
    } else readRegistration(line, end);
  }
  return true;
}

/** Whether a message may begin with the line. */
export function isStartLine(line: usize, end: usize): bool {
  return beginsWith(line, end, "sip/2.0 ") || find(line, end, " sip/2.0") != 0;
}

/** Where the line says how long the body is, 0 if it is of something else. */
function lengthIn(line: usize, end: usize): usize {
  const word = beginsWith(line, end, "content-length") ? 14 : beginsWith(line, end, "l") ? 1 : 0;
  if (word == 0) return 0;
  read(line + word, end);
  skipSpace();
  if (!take(COLON)) return 0;
  skipSpace();
  return cursor;
}

function skipSpace(): void {
  while (peek() == SPACE || peek() == TAB) skip(1);
}

/** A number that nothing else follows in its line; -1 if there is none. */
function numberAt(from: usize, end: usize): i32 {
  read(from, end);
  const found = takeNumber(99_999_999);
  skipSpace();
  return peek() == CARRIAGE_RETURN || peek() == LINE_FEED ? found : -1;
}

/** Where the next line begins. */
export function endOfLine(from: usize, to: usize): usize {
  let at = from;
  while (at < to && load<u8>(at) != <u8>LINE_FEED) at++;
  return min<usize>(at + 1, to);
}

/** Behind the first of these words, 0 if there is none. */
export function find(from: usize, to: usize, word: string): usize {
  for (let at = from; at < to; at++) {
    if (beginsWith(at, to, word)) return at + word.length;
  }
  return 0;
}

/** What stands behind the colon of a field. */
export function numberOf(line: usize, end: usize): i32 {
  const colon = find(line, end, ":");
  if (colon == 0) return -1;
  read(colon, end);
  skipSpace();
  return takeNumber(99_999_999);
}

/** Writes the headers, with that Content-Length if they have one. */
export function putHeaders(from: usize, to: usize, length: u32): void {
  let line = from;
  while (line < to) {
    const end = endOfLine(line, to);
    const said = line == from ? 0 : lengthIn(line, end);
    if (line == from) putLine(line, end, true);
    else if (said != 0) putLength(line, said, end, length);
    else putField(line, end);
    line = end;
  }
}

function putLength(line: usize, said: usize, end: usize, length: u32): void {
  putBytes(line, <u32>(said - line));
  read(said, end);
  takeNumber(99_999_999);
  putNumber(length);
  putBytes(cursor, <u32>(end - cursor));
}

function putField(line: usize, end: usize): void {
  const isContact = beginsWith(line, end, "contact:") || beginsWith(line, end, "m:");
  const isVia = beginsWith(line, end, "via:") || beginsWith(line, end, "v:");
  const isRoute = beginsWith(line, end, "route:") || beginsWith(line, end, "record-route:");
  const isName =
    beginsWith(line, end, "from:") ||
    beginsWith(line, end, "f:") ||
    beginsWith(line, end, "to:") ||
    beginsWith(line, end, "t:");
  if (!isContact && !isVia && !isRoute && !isName) return putBytes(line, <u32>(end - line));
  if (isContact) readContact(line, end);
  putLine(line, end, !isName);
}

/** Copies a line; addresses are translated, with ports as far as the field means an endpoint. */
function putLine(line: usize, end: usize, isEndpoint: bool): void {
  read(line, end);
  let isStart = true;
  while (cursor < end) {
    const at = cursor;
    const mayBeHost = isStart && beginsHost(peek());
    if (mayBeHost && takeHost() && !isWord(peek())) {
      putFound(at, isEndpoint && load<u8>(at - 1) != <u8>EQUALS);
      continue;
    }
    goTo(at);
    isStart = isStart && putParameter(at, end);
    if (isStart) continue;
    if (mayBeHost && peek() == OPENING) {
      putNoHost();
      continue;
    }
    isStart = !isWord(peek());
    putByte(peek());
    skip(1);
  }
}

/** Parameters of Via, which may have no brackets and mean no endpoint of their own. False if there is none. */
function putParameter(at: usize, end: usize): bool {
  if (beginsWith(at, end, "rport=")) putReturnPort(at);
  else if (beginsWith(at, end, "received=")) putReceived(at);
  else return false;
  return true;
}

/** Whether the byte may be part of a name or number. */
@inline
export function isWord(byte: u32): bool {
  const letter = byte | 0x20;
  return isDigit(byte) || (letter >= 0x61 && letter <= 0x7a && byte < 0x80) || byte == DOT || byte == 0x2d;
}

/** A host that was read; `at`: where. */
function putFound(at: usize, isEndpoint: bool): void {
  const found = host;
  const end = cursor;
  const port = take(COLON) ? takeNumber(65535) : -1;
  if (port < 0) goTo(end);
  const changed = port >= 0 || isEndpoint ? translateEndpoint(found, port < 0 ? DEFAULT_PORT : port) : false;
  if (!changed && !(port < 0 && translateAddress(found))) return putBytes(at, <u32>(cursor - at));
  putHost(newAddress);
  if (port < 0 && (!changed || newPort == DEFAULT_PORT)) return;
  putByte(COLON);
  putNumber(newPort);
}

/** The address that the request came from, in a response to it (RFC 3261, section 18.2.1; RFC 5118, section 4.5). */
function putReceived(at: usize): void {
  skip(9);
  putBytes(at, 9);
  const start = cursor;
  const isHost = peek() == OPENING ? takeHost() : takeBareHost();
  if (isHost && !isWord(peek()) && translateAddress(host)) return putHost(newAddress);
  putBytes(start, <u32>(cursor - start));
}

/** RFC 3581: the port that the request came from, in a response to it. */
function putReturnPort(at: usize): void {
  skip(6);
  putBytes(at, 6);
  const start = cursor;
  const port = takeNumber(65535);
  const isOurs = port >= 0 && <u32>port == receiverSeenPort && receiverSeen != receiverOwn;
  if (isOurs) putNumber(receiverOwnPort);
  else putBytes(start, <u32>(cursor - start));
}
