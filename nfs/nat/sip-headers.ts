// The headers of a SIP message (RFC 3261), copied with other endpoints in the request line and in those fields that name
// some: Via, Contact, Route, Record-Route, From and To.
import { tellExpected, expectInward } from "./expectations";
import { IP_PROTO_UDP } from "../sdk";
import { mappingOfOutside } from "./mappings";
import { mappingAt } from "./store";
import {
  ENDPOINT_MS,
  flowOfMessage,
  newAddress,
  newPort,
  receiverOwn,
  receiverOwnPort,
  receiverSeen,
  receiverSeenPort,
  senderOwn,
  translateAddress,
  translateEndpoint,
} from "./sip-endpoints";
import {
  address,
  beginsWith,
  cursor,
  goTo,
  isDigit,
  peek,
  putAddress,
  putByte,
  putBytes,
  putNumber,
  read,
  skip,
  take,
  takeAddress,
  takeNumber,
} from "./text";

const DEFAULT_PORT: u32 = 5060;
const DOT: u32 = 0x2e;
const COLON: u32 = 0x3a;
const EQUALS: u32 = 0x3d;
const LINE_FEED: u32 = 10;
const SPACE: u32 = 32;
const LONGEST_S: u32 = 86_400;
const DEFAULT_S: u32 = 3600;

/** Content-Length of the message, -1 if it has none. */
export let bodyLength: i32 = -1;
export let hasDescription: bool = false;

// Of a registration: the mapping that its Contact leads to, and for how long.
let isRequest = false;
let isSuccess = false;
let isRegister = false;
let registered: u32 = 0;
let contactSeconds: i32 = -1;
let expiresSeconds: i32 = -1;

/** Reads what has to be known before anything is written. False if these are no headers of SIP. */
export function readHeaders(from: usize, to: usize): bool {
  bodyLength = -1;
  hasDescription = false;
  isRegister = beginsWith(from, to, "register ");
  isRequest = !beginsWith(from, to, "sip/2.0 ");
  isSuccess = beginsWith(from, to, "sip/2.0 2");
  registered = 0;
  contactSeconds = -1;
  expiresSeconds = -1;
  if (isRequest && find(from, endOfLine(from, to), " sip/2.0") == 0) return false;
  for (let line = endOfLine(from, to); line < to; line = endOfLine(line, to)) {
    const end = endOfLine(line, to);
    if (beginsWith(line, end, "content-length") || beginsWith(line, end, "l:")) bodyLength = numberOf(line, end);
    else if (beginsWith(line, end, "content-type") || beginsWith(line, end, "c:")) {
      hasDescription = find(line, end, "application/sdp") != 0;
    } else if (beginsWith(line, end, "cseq")) isRegister = find(line, end, " register") != 0;
    else if (beginsWith(line, end, "expires")) expiresSeconds = numberOf(line, end);
  }
  return true;
}

/** Where the next line begins. */
export function endOfLine(from: usize, to: usize): usize {
  let at = from;
  while (at < to && load<u8>(at) != <u8>LINE_FEED) at++;
  return min<usize>(at + 1, to);
}

/** Behind the first of these words, 0 if there is none. */
function find(from: usize, to: usize, word: string): usize {
  for (let at = from; at < to; at++) {
    if (beginsWith(at, to, word)) return at + word.length;
  }
  return 0;
}

/** What stands behind the colon of a field. */
function numberOf(line: usize, end: usize): i32 {
  const colon = find(line, end, ":");
  if (colon == 0) return -1;
  read(colon, end);
  while (peek() == SPACE) skip(1);
  return takeNumber(99_999_999);
}

/** Writes the headers, with that Content-Length if they have one. */
export function putHeaders(from: usize, to: usize, length: u32): void {
  let line = from;
  while (line < to) {
    const end = endOfLine(line, to);
    if (line == from) putLine(line, end, true);
    else if (beginsWith(line, end, "content-length") || beginsWith(line, end, "l:")) putLength(line, end, length);
    else putField(line, end);
    line = end;
  }
}

function putLength(line: usize, end: usize, length: u32): void {
  const colon = find(line, end, ":");
  if (colon == 0) return putBytes(line, <u32>(end - line));
  read(colon, end);
  while (peek() == SPACE) skip(1);
  putBytes(line, <u32>(cursor - line));
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
    if (isStart && isDigit(peek()) && takeAddress(DOT) && !isWord(peek())) {
      putFound(at, isEndpoint && load<u8>(at - 1) != <u8>EQUALS);
      isStart = true;
      continue;
    }
    goTo(at);
    if (isStart && beginsWith(at, end, "rport=")) {
      putReturnPort(at);
      continue;
    }
    isStart = !isWord(peek());
    putByte(peek());
    skip(1);
  }
}

/** Whether the byte may be part of a name or number. */
@inline
function isWord(byte: u32): bool {
  const letter = byte | 0x20;
  return isDigit(byte) || (letter >= 0x61 && letter <= 0x7a && byte < 0x80) || byte == DOT || byte == 0x2d;
}

/** An address that was read; `at`: where. */
function putFound(at: usize, isEndpoint: bool): void {
  const found = address;
  const end = cursor;
  const port = take(COLON) ? takeNumber(65535) : -1;
  if (port < 0) goTo(end);
  const changed = port >= 0 || isEndpoint ? translateEndpoint(found, port < 0 ? DEFAULT_PORT : port) : false;
  if (!changed && !(port < 0 && translateAddress(found))) return putBytes(at, <u32>(cursor - at));
  putAddress(newAddress, DOT);
  if (port < 0 && (!changed || newPort == DEFAULT_PORT)) return;
  putByte(COLON);
  putNumber(newPort);
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

// ---- registrations ----

/** The mapping that a Contact leads to: in a request the sender's, in a response the receiver's. */
function readContact(line: usize, end: usize): void {
  if (!isRegister) return;
  const own = isRequest ? senderOwn : receiverSeen;
  for (let at = line; at < end; at++) {
    if (!isDigit(load<u8>(at)) || isWord(load<u8>(at - 1))) continue;
    read(at, end);
    if (!takeAddress(DOT) || address != own) continue;
    const named = take(COLON) ? takeNumber(65535) : -1;
    const port = named < 0 ? DEFAULT_PORT : <u32>named;
    if (isRequest && translateEndpoint(own, port)) registered = mappingOfOutside(newAddress, newPort, IP_PROTO_UDP);
    if (!isRequest) registered = mappingOfOutside(own, port, IP_PROTO_UDP);
    const parameter = find(cursor, end, "expires=");
    if (parameter == 0) return;
    read(parameter, end);
    contactSeconds = takeNumber(99_999_999);
    return;
  }
}

/** Calls by the registrar pass for as long as the registration lives; until its answer, for a while. */
export function keepRegistration(registrar: u32, caller: u32): void {
  if (registered == 0 || !isRegister || (!isRequest && !isSuccess)) return;
  const said = contactSeconds >= 0 ? contactSeconds : expiresSeconds;
  const seconds = said < 0 ? DEFAULT_S : min<u32>(said, LONGEST_S);
  const milliseconds = isRequest ? ENDPOINT_MS : seconds * 1000;
  if (!expectInward(registered, registrar, milliseconds, true) || milliseconds == 0) return;
  const flow = flowOfMessage;
  if (flow === null) return;
  const called = mappingAt(registered);
  tellExpected(flow, IP_PROTO_UDP, caller, called.outsideAddress, called.outsidePort, milliseconds);
}
