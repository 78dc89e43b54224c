// TFTP (RFC 1350): a request goes to the server's well-known port, and is answered from another one.
import { Counter, Flow, IP_PROTO_UDP, OFFSET_NONE, Packet } from "../sdk";
import { expectInward, expectOutward, tellExpected } from "./expectations";
import { Session } from "./store";

const announced = new Counter("tftp_announced");
const refused = new Counter("tftp_refused");

const EXPECT_MS: u32 = 30_000;
const READ: u32 = 1;
const WRITE: u32 = 2;

export function passTftp(packet: Packet, flow: Flow, session: Session): void {
  if (packet.direction != 0 || packet.payloadOffset == OFFSET_NONE || packet.payloadLength < 4) return;
  const operation: u32 = bswap<u16>(load<u16>(packet.payload));
  if (operation != READ && operation != WRITE) return;
  const isSound = session.mapping == 0 || expectInward(session.mapping, session.destination, EXPECT_MS, false);
  const isAnswered =
    session.newDestination == session.destination ||
    expectOutward(
      session.newDestination,
      session.newSource,
      session.newSourcePort,
      IP_PROTO_UDP,
      session.destination,
      EXPECT_MS,
    );
  if (!isSound || !isAnswered) return refused.add();
  announced.add();
  tellExpected(flow, IP_PROTO_UDP, session.newDestination, session.newSource, session.newSourcePort, EXPECT_MS);
}
