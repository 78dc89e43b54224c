// Protocols that name endpoints in their payload: which sessions are theirs. All are off unless asked for.
import { Config, IP_PROTO_TCP, IP_PROTO_UDP, Packet } from "../sdk";
import { passFtp } from "./ftp";
import { passSip } from "./sip";
import { passSipStream } from "./sip-stream";
import { PROTOCOL_FTP, PROTOCOL_NONE, PROTOCOL_SIP, PROTOCOL_TFTP } from "./protocol-store";
import { CROSSES, ENTERS_IPV6, Session } from "./store";
import { passTftp } from "./tftp";

const PORTS_LIMIT = 8;

/** Whether SIP is looked at over TCP, too. */
let sipOverTcp: bool = true;
/** A side of an FTP control connection may name another address than its own. */
export let ftpForeign: bool = false;

// By server port, and what it is.
const ports: u32[] = [];
const protocols: u32[] = [];

export function readProtocols(config: Config): void {
  readProtocol(config, "ftp", PROTOCOL_FTP, 21);
  readProtocol(config, "tftp", PROTOCOL_TFTP, 69);
  readProtocol(config, "sip", PROTOCOL_SIP, 5060);
}

function readProtocol(config: Config, key: string, protocol: u32, port: u32): void {
  if (!config.has(key)) return;
  const value = config.get(key);
  if (!value.isObject) {
    if (value.asFlag()) add(protocol, port);
    return;
  }
  if (protocol == PROTOCOL_FTP) ftpForeign = value.flagOr("foreignAddresses", false);
  if (protocol == PROTOCOL_SIP) sipOverTcp = value.flagOr("tcp", true);
  if (!value.has("ports")) return add(protocol, port);
  const list = value.list("ports");
  if (list.length > PORTS_LIMIT) list.fail("must not have more than " + PORTS_LIMIT.toString() + " ports");
  for (let i = 0; i < list.length; i++) add(protocol, <u32>list.at(i).asInteger(1, 65535));
}

function add(protocol: u32, port: u32): void {
  ports.push(port);
  protocols.push(protocol);
}

/** Of a new session, whose direction 0 goes to the server: by the port that was called, or the one behind a forward. Of NAT64's: FTP. */
export function protocolOf(ipProto: u32, session: Session): u32 {
  const families: u32 = session.families;
  const crosses = (families & CROSSES) != 0;
  if (crosses && families != (ENTERS_IPV6 | CROSSES)) return PROTOCOL_NONE;
  for (let i = 0; i < ports.length; i++) {
    const port = <u16>unchecked(ports[i]);
    if (port != session.destinationPort && port != session.newDestinationPort) continue;
    const protocol = unchecked(protocols[i]);
    if (isOver(protocol, ipProto) && (!crosses || protocol == PROTOCOL_FTP)) return protocol;
  }
  return PROTOCOL_NONE;
}

function isOver(protocol: u32, ipProto: u32): bool {
  if (ipProto == IP_PROTO_TCP) return protocol == PROTOCOL_FTP || (protocol == PROTOCOL_SIP && sipOverTcp);
  return ipProto == IP_PROTO_UDP && protocol != PROTOCOL_FTP;
}

/** The payload of a packet of such a session, and what else depends on its length. False if the packet goes no further. */
export function rewritePayload(packet: Packet, session: Session): bool {
  const flow = packet.flow;
  if (flow === null) return true;
  const protocol = session.control;
  if (protocol == PROTOCOL_SIP) {
    return packet.ipProto == IP_PROTO_TCP ? passSipStream(packet, flow, session) : passSip(packet, flow, session);
  }
  if (protocol != PROTOCOL_TFTP) return passFtp(packet, flow, session);
  passTftp(packet, flow, session);
  return true;
}
