// The lines of FTP that name an endpoint: PORT and EPRT of the client, 227 and 229 of the server.
import { Counter, Flow, IP_PROTO_TCP } from "../sdk";
import { addressAt, isIpv6, keep6, letGo } from "./addresses";
import { announce, announcedAddress, announcedPort, ownAddress, seenAddress } from "./announce";
import { ftpForeign } from "./protocols";
import { addEdit } from "./sequence";
import { findSourceRule } from "./rules";
import { scratch, SCRATCH_BYTES } from "./payload";
import { Session } from "./store";
import { keptOf, Stream, TEXT_BYTES, textOf } from "./streams";
import {
  address,
  beginsWith,
  cursor,
  high,
  isDigit,
  low,
  peek,
  pen,
  putAddress,
  putAddress6,
  putByte,
  putBytes,
  putNumber,
  read,
  skip,
  take,
  takeAddress,
  takeAddress6,
  takeNumber,
  write,
} from "./text";

export const announced = new Counter("ftp_announced");
export const refused = new Counter("ftp_refused");
export const malformed = new Counter("ftp_malformed");

export const CLIENT: u32 = 0;
export const EXPECT_MS: u32 = 120_000;
export const LEAST_PORT: u32 = 1024;
const COMMA: u32 = 0x2c;
const DOT: u32 = 0x2e;
const SPACE: u32 = 0x20;
const OPENING: u32 = 0x28;
/** Address families of EPRT (RFC 2428, section 2). */
const IPV4 = 1;
const IPV6 = 2;
/** "PORT ", "EPRT ", and "227 ", "229 ". */
const COMMAND_BYTES: u32 = 5;
const REPLY_BYTES: u32 = 4;

// What the line says, and where: the bytes [from, to) are to be replaced.
let from: usize = 0;
let to: usize = 0;
export let port: u32 = 0;
export let named: u32 = 0;

/** How many bytes of a line that has just begun are not to be let on yet. */
export function keptBack(line: usize, bytes: u32, side: u32): u32 {
  const end = line + bytes;
  const isNaming =
    side == CLIENT
      ? beginsWith(line, end, "port ") || beginsWith(line, end, "eprt ")
      : beginsWith(line, end, "227 ") || beginsWith(line, end, "229 ");
  return isNaming ? bytes - (side == CLIENT ? COMMAND_BYTES : REPLY_BYTES) : 0;
}

/** A whole line, whose first byte has that sequence number. */
export function readLine(flow: Flow, session: Session, stream: Stream, side: u32, sequence: u32): void {
  const line = keptOf(stream);
  const end = line + stream.keptBytes;
  if (keptBack(line, stream.keptBytes, side) == 0) return;
  const isExtended = side == CLIENT ? beginsWith(line, end, "eprt ") : beginsWith(line, end, "229 ");
  if (readEndpoint(session, line, end, side, isExtended)) tell(flow, session, stream, side, isExtended, sequence);
  else malformed.add();
  letGo();
}

/** Reads what the line names into `named` and `port`; letGo is to follow. False if it is not sound. */
export function readEndpoint(session: Session, line: usize, end: usize, side: u32, isExtended: bool): bool {
  read(line + (side == CLIENT ? COMMAND_BYTES : REPLY_BYTES), end);
  named = ownAddress(session, side);
  return isExtended ? readExtended(side == CLIENT) : !isIpv6(named) && readPlain(side == CLIENT);
}

/** What the line names. */
function tell(flow: Flow, session: Session, stream: Stream, side: u32, isExtended: bool, sequence: u32): void {
  if (!isAllowed(session, side) || !announce(flow, session, side, IP_PROTO_TCP, named, port, EXPECT_MS)) {
    return refused.add();
  }
  const isWithoutAddress = isExtended && side != CLIENT;
  if ((announcedAddress == named || isWithoutAddress) && announcedPort == port) return announced.add();
  write(scratch + SCRATCH_BYTES, SCRATCH_BYTES);
  if (!isExtended) putPlain();
  else if (side == CLIENT) putEndpoint();
  else putNumber(announcedPort);
  change(stream, sequence + <u32>(from - keptOf(stream)), <u32>(to - from));
}

/** RFC 2577: nobody is connected to who did not ask for it. */
function isAllowed(session: Session, side: u32): bool {
  const own = ownAddress(session, side);
  if (port < LEAST_PORT) return false;
  if (named == own) return true;
  const isTranslated = own != seenAddress(session, side);
  return ftpForeign && named != 0 && (!isTranslated || findSourceRule(named) !== null);
}

/** Puts what was written in the place of so many bytes; if too much is under way, the line stays as it is. */
export function change(stream: Stream, start: u32, oldBytes: u32): void {
  const text = scratch + SCRATCH_BYTES;
  const bytes = <u32>(pen - text);
  if (bytes > TEXT_BYTES) return refused.add();
  const edit = addEdit(stream, start, oldBytes, bytes);
  if (edit === null) return refused.add();
  write(textOf(edit), TEXT_BYTES);
  putBytes(text, bytes);
  announced.add();
}

/** "10,0,0,1,19,137": at once, or in a reply wherever its first number stands. */
function readPlain(isCommand: bool): bool {
  while (isCommand ? peek() == SPACE : !isDigit(peek()) && peek() <= 0xff) skip(1);
  from = cursor;
  if (!takeAddress(COMMA) || !take(COMMA)) return false;
  named = address;
  const high = takeNumber(255);
  if (high < 0 || !take(COMMA)) return false;
  const low = takeNumber(255);
  to = cursor;
  port = ((<u32>high) << 8) | (<u32>low);
  return low >= 0;
}

/** "|1|10.0.0.1|5001|" of a command, "(|||5001|)" of a reply; any character may stand for the bar. */
function readExtended(isCommand: bool): bool {
  while (isCommand ? peek() == SPACE : peek() != OPENING && peek() <= 0xff) skip(1);
  if (!isCommand && !take(OPENING)) return false;
  separator = peek();
  if (separator < 33 || separator > 126 || isDigit(separator)) return false;
  from = cursor;
  if (!take(separator)) return false;
  if (isCommand) {
    const family = isIpv6(named) ? IPV6 : IPV4;
    if (takeNumber(2) != family || !take(separator)) return false;
    if (!takeNamed(family) || !take(separator)) return false;
  } else {
    if (!take(separator) || !take(separator)) return false;
    from = cursor;
  }
  const found = takeNumber(65535);
  to = cursor;
  port = <u32>found;
  return found > 0 && take(separator);
}

let separator: u32 = 0;

/** An address of the connection's own family. */
function takeNamed(family: i32): bool {
  if (family == IPV6) {
    named = takeAddress6() ? keep6(high, low) : 0;
    return named != 0;
  }
  if (!takeAddress(DOT)) return false;
  named = address;
  return true;
}

export function putPlain(): void {
  putAddress(announcedAddress, COMMA);
  putByte(COMMA);
  putNumber(announcedPort >> 8);
  putByte(COMMA);
  putNumber(announcedPort & 0xff);
}

/** Of a command: all but its last bar. */
function putEndpoint(): void {
  putByte(separator);
  putNumber(isIpv6(announcedAddress) ? IPV6 : IPV4);
  putByte(separator);
  if (isIpv6(announcedAddress)) putAddress6(addressAt(announcedAddress).high, addressAt(announcedAddress).low);
  else putAddress(announcedAddress, DOT);
  putByte(separator);
  putNumber(announcedPort);
}
