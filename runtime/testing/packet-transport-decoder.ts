// The transport headers of a packet, for packet-decoder.ts.
import { crc32c, foldSum, judgeChecksum, sumPseudoHeader, sumWords } from "./packet-checksums.ts";
import type { Checksum, IpHeader, Transport } from "./packet-model.ts";
import { ipProtos, viewOf } from "./packet-names.ts";

/** `length` is the header's. */
type Decoded = { readonly transport: Transport; readonly length: number } | undefined;

/** The transport header at the start of `data`, or undefined: no protocol of ours, or too short for it. */
export function decodeTransport(ip: IpHeader, proto: number, data: Uint8Array): Decoded {
  switch (proto) {
    case ipProtos.udp:
      return data.length < 8 ? undefined : decodeUdp(ip, data);
    case ipProtos.tcp:
      return data.length < 20 ? undefined : decodeTcp(ip, data);
    case ipProtos.icmp:
    case ipProtos.icmp6:
      return data.length < 8 ? undefined : decodeIcmp(ip, proto === ipProtos.icmp ? "icmp" : "icmp6", data);
    case ipProtos.sctp:
      return data.length < 12 ? undefined : decodeSctp(data);
    case ipProtos.gre:
      return data.length < 4 ? undefined : decodeGre(data);
    default:
      return undefined;
  }
}

/** The checksum field at `offset`, judged against the sum of `data` with the field zero. */
function judgeAt(data: Uint8Array, offset: number, pseudo: number, zeroIsNone = false): Checksum {
  const cleared = data.slice();
  cleared.fill(0, offset, offset + 2);
  const right = foldSum(sumWords(cleared, pseudo));
  return judgeChecksum(viewOf(data).getUint16(offset), zeroIsNone ? right || 0xffff : right);
}

const pseudoOf = (ip: IpHeader, proto: number, data: Uint8Array): number =>
  sumPseudoHeader(ip.source, ip.destination, proto, data.length);

const portsOf = (view: DataView) => ({ sourcePort: view.getUint16(0), destinationPort: view.getUint16(2) });

function decodeUdp(ip: IpHeader, data: Uint8Array): Decoded {
  const view = viewOf(data);
  const length = view.getUint16(4) === data.length ? undefined : view.getUint16(4);
  const checksum = judgeAt(data, 6, pseudoOf(ip, ipProtos.udp, data), true);
  return { transport: { kind: "udp", ...portsOf(view), length, checksum }, length: 8 };
}

function decodeTcp(ip: IpHeader, data: Uint8Array): Decoded {
  const view = viewOf(data);
  const length = (view.getUint8(12) >> 4) * 4;
  if (length < 20 || length > data.length) return undefined;
  const transport = {
    kind: "tcp",
    ...portsOf(view),
    sequence: view.getUint32(4),
    acknowledgement: view.getUint32(8),
    flags: view.getUint8(13),
    window: view.getUint16(14),
    urgent: view.getUint16(18),
    options: data.slice(20, length),
    checksum: judgeAt(data, 16, pseudoOf(ip, ipProtos.tcp, data)),
  } as const;
  return { transport, length };
}

function decodeIcmp(ip: IpHeader, kind: "icmp" | "icmp6", data: Uint8Array): Decoded {
  const view = viewOf(data);
  const checksum = judgeAt(data, 2, kind === "icmp" ? 0 : pseudoOf(ip, ipProtos.icmp6, data));
  const transport = { kind, type: view.getUint8(0), code: view.getUint8(1), rest: view.getUint32(4), checksum };
  return { transport, length: 8 };
}

function decodeSctp(data: Uint8Array): Decoded {
  const view = viewOf(data);
  const cleared = data.slice();
  cleared.fill(0, 8, 12);
  const checksum = judgeChecksum(view.getUint32(8, true), crc32c(cleared));
  return { transport: { kind: "sctp", ...portsOf(view), tag: view.getUint32(4), checksum }, length: 12 };
}

/** Version 0 without checksum. */
function decodeGre(data: Uint8Array): Decoded {
  const view = viewOf(data);
  const flags = view.getUint16(0);
  const key = (flags & 0x2000) !== 0;
  const sequence = (flags & 0x1000) !== 0;
  const length = 4 + 4 * Number(key) + 4 * Number(sequence);
  if ((flags & 0xcfff) !== 0 || data.length < length) return undefined;
  const transport = {
    kind: "gre",
    etherType: view.getUint16(2),
    key: key ? view.getUint32(4) : undefined,
    sequence: sequence ? view.getUint32(length - 4) : undefined,
  } as const;
  return { transport, length };
}
