// Session descriptions (RFC 8866) in SIP messages: connection addresses, media ports, and the flows that come of them.
import { Counter, IP_PROTO_UDP } from "../sdk";
import { isIpv6, keep6 } from "./addresses";
import { isOneToOne } from "./announce";
import { holdEndpoint, holdPair } from "./endpoints";
import { tellExpected } from "./expectations";
import { mappingOfInside } from "./mappings";
import { endOfLine } from "./sip-headers";
import { host, putHost, takeBareHost } from "./sip-hosts";
import {
  ENDPOINT_MS,
  expectAt,
  flowOfMessage,
  isSenderTranslated,
  receiverOwn,
  senderOwn,
  senderSeen,
} from "./sip-endpoints";
import { dropUnused } from "./sessions";
import { mappingAt } from "./store";
import { beginsWith, cursor, high, low, peek, putBytes, putNumber, read, skip, takeNumber } from "./text";

const announced = new Counter("sip_announced");
export const refused = new Counter("sip_refused");

const DOT: u32 = 0x2e;
const SPACE: u32 = 32;
/** Of "c=IN IP4 ". */
const CONNECTION_BYTES: u32 = 9;
/** Where media are that are named by a name, or for which there is no room. */
const NOWHERE: u32 = 0xffffffff;

// Of the media description that is being written: its port, and what stands for it.
let port: u32 = 0;
let newPort: u32 = 0;

/** Writes the description with other endpoints. */
export function putDescription(from: usize, to: usize): void {
  port = 0;
  const session = connectionOf(from, to);
  let line = from;
  while (line < to) {
    const end = endOfLine(line, to);
    if (beginsWith(line, end, "m=")) putMedia(line, end, to, session);
    else if (isConnection(line, end) || beginsWith(line, end, "o=")) putConnection(line, end);
    else if (beginsWith(line, end, "a=rtcp:")) putControlPort(line, end);
    else putBytes(line, <u32>(end - line));
    line = end;
  }
}

@inline
function isConnection(line: usize, end: usize): bool {
  return beginsWith(line, end, "c=in ip4 ") || beginsWith(line, end, "c=in ip6 ");
}

/** The address of the first connection line before the next media description; 0 if there is none. */
function connectionOf(from: usize, to: usize): u32 {
  for (let line = from; line < to; line = endOfLine(line, to)) {
    if (beginsWith(line, to, "m=")) return 0;
    if (!isConnection(line, to)) continue;
    read(line + CONNECTION_BYTES, to);
    if (!takeBareHost()) return NOWHERE;
    const word = host != 0 ? host : keep6(high, low);
    return word != 0 ? word : NOWHERE;
  }
  return 0;
}

/** "m=audio 49170 RTP/AVP 0": a port, and for RTP the next one for RTCP. */
function putMedia(line: usize, end: usize, to: usize, session: u32): void {
  const own = connectionOf(end, to);
  read(line, end);
  while (peek() != SPACE && cursor < end) skip(1);
  skip(1);
  const start = cursor;
  const found = takeNumber(65535);
  port = found <= 0 ? 0 : <u32>found;
  newPort = port;
  if (port == 0 || peek() != SPACE) return putBytes(line, <u32>(end - line));
  const after = cursor;
  const isRtp = beginsWith(after, end, " rtp/");
  expectMedia(own != 0 ? own : session, isRtp);
  putBytes(line, <u32>(start - line));
  putNumber(newPort);
  putBytes(after, <u32>(end - after));
}

function expectMedia(at: u32, isRtp: bool): void {
  const flow = flowOfMessage;
  // Media of the other family go their own way.
  if (flow === null || at == 0 || at == NOWHERE || isIpv6(at) != isIpv6(receiverOwn)) return;
  if (!isSenderTranslated() || at != senderOwn) {
    tellExpected(flow, IP_PROTO_UDP, receiverOwn, at, port, ENDPOINT_MS);
    if (isRtp) tellExpected(flow, IP_PROTO_UDP, receiverOwn, at, port + 1, ENDPOINT_MS);
    return;
  }
  if (isOneToOne(senderSeen, senderOwn)) {
    tellExpected(flow, IP_PROTO_UDP, 0, senderSeen, port, ENDPOINT_MS);
    if (isRtp) tellExpected(flow, IP_PROTO_UDP, 0, senderSeen, port + 1, ENDPOINT_MS);
    return announced.add();
  }
  const isPair = isRtp && (port & 1) == 0;
  const mapping = isPair
    ? holdPair(senderOwn, port, senderSeen)
    : holdEndpoint(senderOwn, port, IP_PROTO_UDP, senderSeen);
  const second = isPair && mapping != 0 ? mappingOfInside(senderOwn, port + 1, IP_PROTO_UDP, senderSeen) : 0;
  if (mapping == 0 || !expectAt(mapping, 0)) {
    dropUnused(second);
    return refused.add();
  }
  newPort = mappingAt(mapping).outsidePort;
  if (second != 0 && mappingAt(second).outsideAddress == senderSeen) expectAt(second, 0);
  announced.add();
}

/** "c=IN IP4 10.0.0.1" or "o=- 1 1 IN IP6 2001:db8::1": the last word. */
function putConnection(line: usize, end: usize): void {
  let at = end;
  while (at > line && load<u8>(at - 1) <= <u8>SPACE) at--;
  while (at > line && load<u8>(at - 1) != <u8>SPACE) at--;
  read(at, end);
  if (!isSenderTranslated() || !takeBareHost() || host != senderOwn || peek() == DOT) {
    return putBytes(line, <u32>(end - line));
  }
  const after = cursor;
  putBytes(line, <u32>(at - line));
  putHost(senderSeen);
  putBytes(after, <u32>(end - after));
}

/** RFC 3605: where RTCP is, if it is not said otherwise at the next port. */
function putControlPort(line: usize, end: usize): void {
  read(line + 7, end);
  const found = takeNumber(65535);
  const after = cursor;
  const isNext = port != 0 && <u32>found == port + 1;
  putBytes(line, 7);
  if (isNext) putNumber(newPort + 1);
  else putBytes(line + 7, <u32>(after - line) - 7);
  putConnection(after, end);
}
