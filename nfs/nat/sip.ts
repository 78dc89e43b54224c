// SIP over UDP (RFC 3261): a message names endpoints in its headers and in a session description behind them. Both are
// written anew with those that hold on the other side; a message that is not understood passes as it is.
import { Counter, equal, Flow, OFFSET_NONE, Packet } from "../sdk";
import { ownAddress, seenAddress } from "./announce";
import { isSound, payloadRoom, resizePayload, scratch, SCRATCH_BYTES } from "./payload";
import { putDescription } from "./sdp";
import { beginMessage } from "./sip-endpoints";
import { bodyLength, endOfLine, hasDescription, keepRegistration, putHeaders, readHeaders } from "./sip-headers";
import { Session } from "./store";
import { pen, putBytes, write } from "./text";

const rewritten = new Counter("sip_rewritten");
const malformed = new Counter("sip_malformed");
const tooLong = new Counter("sip_too_long");

/** Keep-alives are shorter, messages that are not fragmented are no longer. */
const SHORTEST: u32 = 16;
const LONGEST: u32 = 16_384;

/** False if the packet goes no further. */
export function passSip(packet: Packet, flow: Flow, session: Session): bool {
  if (packet.payloadOffset == OFFSET_NONE || packet.payloadLength < SHORTEST) return true;
  const from = packet.payload;
  const bytes = packet.payloadLength;
  const isWhole = !packet.isFragment && !packet.isCut && bytes <= LONGEST && isSound(packet);
  const body = isWhole ? endOfHeaders(from, from + bytes) : 0;
  if (body == 0 || !readHeaders(from, body) || (bodyLength >= 0 && from + bytes - body != <usize>bodyLength)) {
    malformed.add();
    return true;
  }
  beginMessage(flow, session, packet.direction);
  const length = putMessage(from, body, from + bytes);
  keepRegistration(seenAddress(session, 1), ownAddress(session, 1));
  if (length > payloadRoom(packet)) {
    tooLong.add();
    return true;
  }
  if (length == bytes && equal(from, scratch, bytes)) return true;
  rewritten.add();
  return resizePayload(packet, scratch, length);
}

/** Behind the empty line, 0 if there is none. */
function endOfHeaders(from: usize, to: usize): usize {
  let line = from;
  while (line < to) {
    const end = endOfLine(line, to);
    if (load<u8>(end - 1) != 10) return 0;
    if (end - line <= 2 && load<u8>(line) <= 13) return end;
    line = end;
  }
  return 0;
}

/** Into `scratch`: the body first, since the headers say how long it is. Returns the bytes of both. */
function putMessage(from: usize, body: usize, to: usize): u32 {
  const target = scratch + SCRATCH_BYTES;
  write(target);
  if (hasDescription) putDescription(body, to);
  else putBytes(body, <u32>(to - body));
  const length = <u32>(pen - target);
  write(scratch);
  putHeaders(from, body, length);
  putBytes(target, length);
  return <u32>(pen - scratch);
}
