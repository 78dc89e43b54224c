// What ICMP errors quote of a stream whose payload was changed: with its sender's number, since a sender does not believe
// errors about what it has not sent (RFC 5927, section 4.1).
import { difference16, difference32, IP_PROTO_TCP, mend, Tcp } from "../sdk";
import { hasConnection, messagesAt } from "./message-store";
import { PROTOCOL_LAST, PROTOCOL_NONE, streamAt } from "./protocol-store";
import { unmap } from "./sequence";
import { Session } from "./store";
import { isChanged, Stream } from "./streams";

const SEQUENCE_END: u32 = 8;
const CHECKSUM_END: u32 = 18;

/** Of a quoted packet of that direction, of whose TCP header so many bytes are there. Returns the change of their sum. */
export function turnQuoted(session: Session, direction: u32, ipProto: u32, l4: usize, bytes: u32): u32 {
  if (session.control == PROTOCOL_NONE || ipProto != IP_PROTO_TCP || bytes < SEQUENCE_END) return 0;
  const stream = streamOf(session, direction);
  if (stream === null || !isChanged(stream)) return 0;
  const tcp = Tcp.at(l4);
  const number = unmap(stream, tcp.sequence);
  const change = difference32(tcp.sequence, number);
  tcp.sequence = number;
  if (bytes < CHECKSUM_END) return change;
  const before = tcp.checksum;
  tcp.checksum = mend(before, change);
  return change + difference16(before, tcp.checksum);
}

function streamOf(session: Session, direction: u32): Stream | null {
  if (session.control > PROTOCOL_LAST) return streamAt(session.control, direction);
  return hasConnection(session) ? messagesAt(session.connection, direction) : null;
}
