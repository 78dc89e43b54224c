// SIP over UDP (RFC 3261): a message names endpoints in its headers and in a session description behind them. Both are
// written anew with those that hold on the other side; a message that is not understood passes as it is.
import { Counter, equal, Flow, OFFSET_NONE, Packet } from "../sdk";
import { letGo } from "./addresses";
import { ownAddress, seenAddress } from "./announce";
import { isSound, resizePayload } from "./payload";
import { payloadRoom } from "./room";
import { beginMessage } from "./sip-endpoints";
import { bodyLength, readHeaders } from "./sip-headers";
import { endOfHeaders, message, putMessage } from "./sip-message";
import { keepRegistration } from "./sip-registrations";
import { Session } from "./store";

export const rewritten = new Counter("sip_rewritten");
export const malformed = new Counter("sip_malformed");
export const tooLong = new Counter("sip_too_long");

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
  const length = translate(packet, flow, session, body);
  if (length == 0 || length > payloadRoom(packet, session)) {
    tooLong.add();
    return true;
  }
  if (length == bytes && equal(from, message, bytes)) return true;
  rewritten.add();
  return resizePayload(packet, message, length);
}

function translate(packet: Packet, flow: Flow, session: Session, body: usize): u32 {
  const from = packet.payload;
  beginMessage(flow, packet.ipProto, session, packet.direction);
  const length = putMessage(from, body, from + packet.payloadLength);
  keepRegistration(seenAddress(session, 1), ownAddress(session, 1));
  letGo();
  return length;
}
