// Packet lines of IPv4 told as the same ones of IPv6, and back: a test that says what holds for one family shows it for both.
// 10.0.0.1 is fd00::a00:1 there.

const PREFIX = "fd00::";
const PREFIX_BITS = 96;

const hexOf = (high: string | undefined, low: string | undefined) => (Number(high) * 256 + Number(low)).toString(16);

/** Of one address in dots. */
export function addressIn6(address: string): string {
  const [a, b, c, d] = address.split(".");
  return `${PREFIX}${hexOf(a, b)}:${hexOf(c, d)}`;
}

function addressIn4(high: string, low: string): string {
  const [first, second] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [first >> 8, first & 255, second >> 8, second & 255].join(".");
}

/** Words of ICMP and those of ICMPv6; the first that fits is taken, in either direction. */
const words: readonly (readonly [string, string])[] = [
  ["unreachable code 4 mtu", "too-big mtu"],
  ["unreachable code 13", "unreachable code 1"],
  ["unreachable code 1", "unreachable code 3"],
  ["unreachable code 3", "unreachable code 4"],
  ["ip-proto:1", "ip-proto:58"],
  ["stray-icmp-error:1", "stray-icmp-error:58"],
  ["type 13", "type 139"],
  ["type 10", "type 200"],
];

const literally = (text: string) => text.replaceAll(/[.:]/g, "\\$&");

function exchangeWords(line: string, from: 0 | 1, to: 0 | 1): string {
  const known = words.map((pair) => `${literally(pair[from])}(?!\\d)`).join("|");
  return line.replace(new RegExp(known, "g"), (found) => words.find((pair) => pair[from] === found)?.[to] ?? found);
}

/** Everything but text in quotes, which is payload. */
function outsideQuotes(line: string, change: (part: string) => string): string {
  return line
    .split(/("[^"]*")/)
    .map((part) => (part.startsWith('"') ? part : change(part)))
    .join("");
}

export function lineIn6(line: string): string {
  if (line.startsWith("arp")) return line;
  return outsideQuotes(line, (part) =>
    exchangeWords(part, 0, 1)
      .replaceAll(/\bicmp\b(?!-)/g, "icmp6")
      .replaceAll(/(\d+\.\d+\.\d+\.\d+):(\d+)/g, (_, address: string, port) => `[${addressIn6(address)}]:${port}`)
      .replaceAll(/\d+\.\d+\.\d+\.\d+/g, addressIn6),
  );
}

/** Short, or with all eight groups as logs have it. */
const address6 = "fd00(?::|(?::0){5}):([0-9a-f]{1,4}):([0-9a-f]{1,4})";

export function lineIn4(line: string): string {
  return outsideQuotes(line, (part) =>
    exchangeWords(part, 1, 0)
      .replaceAll(/\bicmp6\b/g, "icmp")
      .replaceAll(new RegExp(`\\[${address6}\\]`, "g"), (_, high: string, low: string) => addressIn4(high, low))
      .replaceAll(new RegExp(address6, "g"), (_, high: string, low: string) => addressIn4(high, low)),
  );
}

/** What SIP and SDP say: in brackets, but for descriptions. */
export function sipIn6(text: string): string {
  return text
    .replaceAll(/IN IP4 (\d+\.\d+\.\d+\.\d+)/g, (_, address: string) => `IN IP6 ${addressIn6(address)}`)
    .replaceAll(/\d+\.\d+\.\d+\.\d+/g, (address) => `[${addressIn6(address)}]`);
}

export const sipIn4 = (text: string): string => lineIn4(text.replaceAll(/IN IP6 (?=fd00:)/g, "IN IP4 "));

/** A configuration whose addresses and prefixes are of IPv6. */
export function configIn6<T>(value: T): T {
  const change = (text: string) =>
    text.replace(/^(\d+\.\d+\.\d+\.\d+)(?:\/(\d+))?$/, (_, address: string, bits: string | undefined) =>
      bits === undefined ? addressIn6(address) : `${addressIn6(address)}/${PREFIX_BITS + Number(bits)}`,
    );
  return JSON.parse(JSON.stringify(value), (_key, each: unknown) =>
    typeof each === "string" ? change(each) : each,
  ) as T;
}
