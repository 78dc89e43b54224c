// A frame's flow in words.
import {
  OFFSET_NONE,
  RECORD_DESTINATION_PORT,
  RECORD_IP_PROTO,
  RECORD_IP_VERSION,
  RECORD_L3_OFFSET,
  RECORD_L4_OFFSET,
  RECORD_SOURCE_PORT,
} from "../../nfs/sdk/abi.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { formatAddress, nameIpProto } from "../telemetry/eve.ts";

const LINK_ETHERNET = 0;
/** TCP, UDP, SCTP. */
const WITH_PORTS: readonly number[] = [6, 17, 132];

/** `UDP 10.0.0.1:5000 > 10.0.0.2:53`; without an IP header: `not IP`. */
export function nameFlow(frame: Uint8Array): string {
  const record = new DataView(loadAddon().parse(frame, LINK_ETHERNET, frame.length));
  const version = record.getUint8(RECORD_IP_VERSION);
  const start = record.getUint16(RECORD_L3_OFFSET, true);
  const [first, bytes] = version === 4 ? [12, 4] : [8, 16];
  if (version === 0 || start === OFFSET_NONE || start + first + 2 * bytes > frame.length) return "not IP";
  const proto = record.getUint8(RECORD_IP_PROTO);
  const hasPorts = WITH_PORTS.includes(proto) && record.getUint16(RECORD_L4_OFFSET, true) !== OFFSET_NONE;
  const endpoint = (at: number, port: number) => {
    const address = formatAddress(frame.subarray(start + at, start + at + bytes));
    if (!hasPorts) return address;
    return `${version === 6 ? `[${address}]` : address}:${record.getUint16(port, true)}`;
  };
  const [source, destination] = [endpoint(first, RECORD_SOURCE_PORT), endpoint(first + bytes, RECORD_DESTINATION_PORT)];
  return `${nameIpProto(proto)} ${source} > ${destination}`;
}
