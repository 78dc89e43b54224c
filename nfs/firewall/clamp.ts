// The largest segment that both ends may send, made small enough for the way (RFC 9293, section 3.7.1).
import { Config, difference16, mend, Packet, TCP_OPTION_MSS, TCP_SYN } from "../sdk";

let limit4: u32 = 0;
let limit6: u32 = 0;

export function readClamp(config: Config): void {
  limit4 = 0;
  limit6 = 0;
  if (!config.has("mssClamp")) return;
  const clamp = config.object("mssClamp");
  limit4 = <u32>clamp.integerOr("ipv4", 0, 536, 65495);
  limit6 = <u32>clamp.integerOr("ipv6", 0, 1220, 65475);
}

@inline
export function clamp(packet: Packet): void {
  if ((packet.tcpFlags & TCP_SYN) != 0 && (limit4 | limit6) != 0) clampSyn(packet);
}

function clampSyn(packet: Packet): void {
  const limit = packet.ipVersion == 4 ? limit4 : limit6;
  const tcp = packet.tcp;
  if (tcp === null || limit == 0) return;
  const option = tcp.findOption(TCP_OPTION_MSS);
  if (option === null || option.length != 4) return;
  const before = bswap<u16>(load<u16>(option.data));
  if (before <= limit) return;
  store<u16>(option.data, bswap<u16>(<u16>limit));
  // An option may stand at an odd offset, where its bytes count the other way round.
  const isOdd = ((option.data - tcp.address) & 1) != 0;
  const change = isOdd ? difference16(bswap<u16>(before), bswap<u16>(<u16>limit)) : difference16(before, limit);
  tcp.checksum = mend(tcp.checksum, change);
  packet.rewritten();
}
