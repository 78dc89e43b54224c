// What is remembered of SIP over TCP, in a segment of its own: both directions of each connection.
//
//   header │ connections
//
// A session names its connection, and the connection its session: where the two disagree, another version had the
// sessions meanwhile and did not know of connections.
import { Gauge, Segment } from "../sdk";
import { base, Session, sessionAt, Slab } from "./store";
import { MESSAGE_STREAM_BYTES, PAIR_HEAD, READS_MESSAGES, Stream } from "./streams";

const segment = new Segment("messages");
const origin: usize = segment.address;

const CONNECTIONS: u32 = 512;
/** Entries that are given back are linked through their first word, which is their streams' otherwise (streams.ts). */
const OWNER = 4;
const CONNECTION_BYTES: u32 = (PAIR_HEAD + 2 * MESSAGE_STREAM_BYTES + 7) & ~7;
const FIRST: usize = origin + 64;

const connections = new Slab(origin, FIRST, CONNECTION_BYTES, CONNECTIONS, new Gauge("sip_connections"), origin);

@inline
export function messagesAt(connection: u32, direction: u32): Stream {
  return changetype<Stream>(origin + connection + PAIR_HEAD + direction * MESSAGE_STREAM_BYTES);
}

@inline
function referenceOf(session: Session): u32 {
  return <u32>(changetype<usize>(session) - base);
}

/** Whether the session's connection is known. */
@inline
export function hasConnection(session: Session): bool {
  const connection = session.connection;
  return connection != 0 && load<u32>(origin + connection, OWNER) == referenceOf(session);
}

/** Gives the session a connection. False if there is no room. */
export function takeConnection(session: Session): bool {
  let connection = connections.take();
  if (connection == 0 && giveLost()) connection = connections.take();
  if (connection == 0) return false;
  store<u32>(origin + connection, referenceOf(session), OWNER);
  for (let direction: u32 = 0; direction < 2; direction++) messagesAt(connection, direction).reads = READS_MESSAGES;
  session.connection = connection;
  return true;
}

export function giveConnection(session: Session): void {
  if (hasConnection(session)) connections.give(session.connection);
  session.connection = 0;
}

/** Takes back what no session names any more. False if there is none. */
function giveLost(): bool {
  const live = connections.live;
  for (let i: u32 = 0; i < connections.used; i++) {
    const connection = <u32>(FIRST - origin) + i * CONNECTION_BYTES;
    const owner = load<u32>(origin + connection, OWNER);
    if (owner != 0 && !isNamed(connection, sessionAt(owner))) connections.give(connection);
  }
  return connections.live < live;
}

@inline
function isNamed(connection: u32, session: Session): bool {
  return session.flow != 0 && session.connection == connection;
}

export function messagesFit(): bool {
  return FIRST + CONNECTIONS * CONNECTION_BYTES - origin <= segment.bytes;
}
