/**
 * Packets as text, one per line, for tests of functions:
 *
 * ```
 * udp 10.0.0.1:5000 > 10.0.0.2:53 ttl 3 payload "hello"
 * tcp [2001:db8::1]:1234 > [2001:db8::2]:80 syn seq 1 win 1024
 * icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1
 * arp who-has 10.0.0.2 tell 10.0.0.1
 * vlan 100 vlan 200 udp 10.0.0.1:1 > 10.0.0.2:2 pad 60
 * ```
 *
 * `encodePacket` makes the Ethernet frame (without frame check sequence), with right lengths and checksums unless the
 * line says otherwise. `formatPacket` goes back: its lines are canonical (what is at its default is left out, words
 * stand in one order), and encode to the very same bytes; a frame that these words cannot express becomes `raw HEX`.
 *
 * # Grammar
 *
 * ```
 * line    = [ether MAC > MAC] {vlan} packet {word} | raw HEX
 * vlan    = vlan ID [priority N] [dei] [tpid N]              outermost first
 * packet  = udp  ENDPOINT > ENDPOINT
 *         | tcp  ENDPOINT > ENDPOINT
 *         | sctp ENDPOINT > ENDPOINT                         the payload is the chunks
 *         | icmp  ADDRESS > ADDRESS (echo | echo-reply | unreachable | redirect | time-exceeded | type N)
 *         | icmp6 ADDRESS > ADDRESS (echo | echo-reply | unreachable | too-big | time-exceeded | router-solicit
 *                                    | router-advert | neighbor-solicit | neighbor-advert | type N)
 *         | gre  ADDRESS > ADDRESS
 *         | ip   ADDRESS > ADDRESS proto (NAME | N)          no transport header; so are all but first fragments
 *         | arp who-has TARGET tell SENDER
 *         | arp reply SENDER to TARGET
 *         | type ETHERTYPE                                   any other frame; below 1536 it is an 802.3 length
 * ```
 *
 * ENDPOINT is `10.0.0.1:53` or `[2001:db8::1]:53`; ADDRESS is without port and brackets. Numbers are decimal or 0x….
 * HEX is pairs of digits without space. Words follow in any order, each once:
 *
 * | of | words (default) |
 * | --- | --- |
 * | every frame | `pad N`: zeros up to N bytes of frame (none); `trailer HEX`: bytes behind the packet (none) |
 * | all but ARP | `payload "text"` (escapes `\n \r \t \" \\`, UTF-8), `payload HEX`, `payload (LINE)`: an IP packet without frame, `zeros N` (no payload) |
 * | IP | `ttl N` (64; IPv6: hop limit), `dscp N` (0), `ecn N` (0) |
 * | IPv4 | `ip-id N` (0), `df`, `frag [id N] [offset N] [more]`, `options HEX` (a multiple of 4 bytes), `ip-checksum N`, `bad-ip-checksum` |
 * | IPv6 | `flow-label N` (0); repeatable and placed as written: `ext hop-by-hop [HEX]`, `ext destination [HEX]`, `ext routing HEX`, `ext auth HEX` (HEX without the header's first two bytes), `frag [id N] [offset N] [more]` |
 * | udp | `udp-length N`, `checksum N` (0: none), `bad-checksum` |
 * | tcp | flags `fin syn rst psh urg ece cwr` and `ack [N]`: the flag and the number; `seq N` (0), `ack-number N`: the number without the flag, `win N` (65535), `urgent N` (0), `tcp-options HEX`, `checksum N`, `bad-checksum` |
 * | icmp, icmp6 | `code N` (0), `id N` and `seq N` (echo only, 0), `mtu N`, `rest HEX`: the 4 bytes behind the checksum, `checksum N`, `bad-checksum` |
 * | sctp | `tag N` (0), `checksum N` (CRC-32C), `bad-checksum` |
 * | gre | `type N` (0x0800), `key N`, `seq N` |
 * | arp | `sha MAC`, `tha MAC`: hardware addresses of sender and target |
 *
 * Fragment offsets are in bytes. Lengths and checksums of a first fragment are those of the bytes in its frame; where
 * the whole datagram matters, say `udp-length` and `checksum`.
 *
 * MAC addresses that are not given follow from the IP addresses: 02:00 and the last four bytes (10.0.0.1 is
 * 02:00:0a:00:00:01), the group address for multicast and broadcast destinations.
 *
 * A line that is wrong throws a SluiceError `packet-text` whose place is `column N` (or `line N, column N`).
 */
import { decodeFrame } from "./packet-decoder.ts";
import { encodeFrame } from "./packet-encoder.ts";
import { sameBytes } from "./packet-names.ts";
import { readPacket } from "./packet-reader.ts";
import { type LineNumber, TokenReader } from "./packet-tokens.ts";
import { takeHex } from "./packet-values.ts";
import { writePacket } from "./packet-writer.ts";

/** The Ethernet frame that `line` describes. Throws packet-text. */
export function encodePacket(line: string): Uint8Array {
  return encodeLine(line, undefined);
}

/** One frame per line; empty lines and lines that begin with `#` are skipped. Throws packet-text. */
export function encodePackets(text: string): Uint8Array[] {
  return text.split("\n").flatMap((line, index) => (/^\s*(#|$)/.test(line) ? [] : [encodeLine(line, index + 1)]));
}

function encodeLine(line: string, number: LineNumber): Uint8Array {
  const tokens = new TokenReader(line, number);
  if (!tokens.takeIf("raw")) return encodeFrame(readPacket(tokens));
  const bytes = tokens.next === undefined ? new Uint8Array(0) : takeHex(tokens, "raw");
  if (tokens.next !== undefined) tokens.fail(tokens.next, "nothing follows the bytes of a raw frame");
  return bytes;
}

/** The canonical line of an Ethernet frame: `encodePacket(formatPacket(frame))` are the same bytes, whatever they are. */
export function formatPacket(bytes: Uint8Array): string {
  // A copy that is no Buffer: Buffer.slice shares bytes with its origin, which decoding would change.
  const frame = Uint8Array.from(bytes);
  const packet = decodeFrame(frame);
  if (packet === undefined || !sameBytes(encodeFrame(packet), frame)) return `raw ${frame.toHex()}`.trimEnd();
  return writePacket(packet);
}
