// FTP between an IPv6 client and an IPv4 server (RFC 6384): the client speaks as RFC 2428 has it, the server need not know that.
//
//   EPSV → PASV     EPSV ALL → NOOP     EPRT |2|…| → PORT …     227 …(…) → 229 …(|||port|)
//
// Other words stand in the place of these lines: they are kept back from their first byte on.
import { Flow, IP_PROTO_TCP } from "../sdk";
import { letGo } from "./addresses";
import { announce, ownAddress } from "./announce";
import { tellExpected } from "./expectations";
import {
  announced,
  change,
  CLIENT,
  EXPECT_MS,
  LEAST_PORT,
  malformed,
  named,
  port,
  putPlain,
  readEndpoint,
  refused,
} from "./ftp-lines";
import { scratch, SCRATCH_BYTES } from "./payload";
import { Session } from "./store";
import { keptOf, Stream } from "./streams";
import { agrees, beginsWith, cursor, peek, putNumber, putWord, read, skip, write } from "./text";

const SPACE: u32 = 0x20;
/** "EPSV". */
const WORD_BYTES: u32 = 4;

/** How many bytes of a line that has just begun are not to be let on yet. */
export function keptBack64(line: usize, bytes: u32, side: u32): u32 {
  const end = line + bytes;
  const isMeant = side == CLIENT ? agrees(line, end, "eprt ") || agrees(line, end, "epsv") : agrees(line, end, "227 ");
  return isMeant ? bytes : 0;
}

/** A whole line, whose first byte has that sequence number. */
export function readLine64(flow: Flow, session: Session, stream: Stream, side: u32, sequence: u32): void {
  const line = keptOf(stream);
  const end = line + stream.keptBytes;
  if (side == CLIENT) {
    if (beginsWith(line, end, "epsv")) askPassive(stream, sequence);
    else if (beginsWith(line, end, "eprt ")) nameClient(flow, session, stream, sequence);
  } else if (beginsWith(line, end, "227 ")) nameServer(flow, session, stream, sequence, false);
  else if (beginsWith(line, end, "229 ")) nameServer(flow, session, stream, sequence, true);
  letGo();
}

/** "EPSV", "EPSV 2": the server is asked as IPv4 asks. That there will be nothing else (RFC 2428, section 4) is no use to it. */
function askPassive(stream: Stream, sequence: u32): void {
  const line = keptOf(stream);
  const end = line + stream.keptBytes;
  read(line + WORD_BYTES, end);
  if (peek() > SPACE) return;
  while (peek() == SPACE) skip(1);
  write(scratch + SCRATCH_BYTES, SCRATCH_BYTES);
  putWord(beginsWith(cursor, end, "all") ? "NOOP" : "PASV");
  changeLine(stream, sequence);
}

function nameClient(flow: Flow, session: Session, stream: Stream, sequence: u32): void {
  const line = keptOf(stream);
  if (!readEndpoint(session, line, line + stream.keptBytes, CLIENT, true)) return malformed.add();
  const isOwn = named == ownAddress(session, CLIENT) && port >= LEAST_PORT;
  if (!isOwn || !announce(flow, session, CLIENT, IP_PROTO_TCP, named, port, EXPECT_MS)) return refused.add();
  write(scratch + SCRATCH_BYTES, SCRATCH_BYTES);
  putWord("PORT ");
  putPlain();
  changeLine(stream, sequence);
}

/** The client calls by the address that it knows, and NAT64 does the rest. */
function nameServer(flow: Flow, session: Session, stream: Stream, sequence: u32, isExtended: bool): void {
  const line = keptOf(stream);
  const side = CLIENT ^ 1;
  if (!readEndpoint(session, line, line + stream.keptBytes, side, isExtended)) return malformed.add();
  if (named != ownAddress(session, side) || port < LEAST_PORT) return refused.add();
  tellExpected(flow, IP_PROTO_TCP, session.source, session.destination, port, EXPECT_MS);
  if (isExtended) return announced.add();
  write(scratch + SCRATCH_BYTES, SCRATCH_BYTES);
  putWord("229 Entering Extended Passive Mode (|||");
  putNumber(port);
  putWord("|)");
  changeLine(stream, sequence);
}

/** All of the line but its end. */
function changeLine(stream: Stream, sequence: u32): void {
  const line = keptOf(stream);
  let bytes: u32 = stream.keptBytes;
  while (bytes > 0 && load<u8>(line + bytes - 1) < <u8>SPACE) bytes--;
  change(stream, sequence, bytes);
}
