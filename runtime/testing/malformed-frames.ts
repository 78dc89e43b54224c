// Frames that nobody should send, for trying functions: the same ones every time.
import { encodePacket } from "./packet-text.ts";

export interface FrameKind {
  readonly name: string;
  readonly frames: readonly Uint8Array[];
}

const SEED = 0x5107ce;
const RANDOM_FRAMES = 2000;
const FRAGMENTS = 600;
/** Headers end before it. */
const HEADER_BYTES = 96;
const LONGEST = 1500;

/** What is damaged; sound themselves. */
const soundLines: readonly string[] = [
  'udp 10.0.0.1:5000 > 10.0.0.2:53 payload "hello"',
  'udp [2001:db8::1]:5000 > [2001:db8::2]:53 payload "hello"',
  "udp 10.0.0.1:5353 > 10.0.0.2:53 payload 000101000001000000000000076578616d706c6503636f6d0000010001",
  "tcp 10.0.0.1:4000 > 10.0.0.2:80 syn tcp-options 020405b40402080a00000001000000000103030a",
  "tcp 10.0.0.2:80 > 10.0.0.1:4000 syn ack 1 tcp-options 020405b4",
  "tcp 10.0.0.1:4000 > 10.0.0.2:80 ack 1 seq 1",
  'tcp 10.0.0.1:4000 > 10.0.0.2:80 psh ack 1 seq 1 payload "GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"',
  'tcp 10.0.0.1:4000 > 10.0.0.2:80 psh ack 1 seq 9 payload "other bytes in the same place"',
  "tcp 10.0.0.1:4000 > 10.0.0.2:80 fin ack 1 seq 60",
  "tcp [2001:db8::1]:4000 > [2001:db8::2]:443 syn",
  'tcp [2001:db8::1]:4000 > [2001:db8::2]:443 psh ack seq 1 payload "hello"',
  "icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1",
  "icmp 10.0.0.9 > 10.0.0.1 unreachable code 3 payload (udp 10.0.0.1:5000 > 10.0.0.2:53)",
  "icmp6 2001:db8::1 > 2001:db8::2 echo id 7 seq 1",
  "icmp6 2001:db8::9 > 2001:db8::1 too-big mtu 1280 payload (udp [2001:db8::1]:5000 > [2001:db8::2]:53)",
  "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit payload 20010db8000000000000000000000002",
  "sctp 10.0.0.1:5000 > 10.0.0.2:5001 payload 01000014",
  "gre 10.0.0.1 > 10.0.0.2 key 7 payload (udp 192.168.0.1:1 > 192.168.0.2:2)",
  "ip 10.0.0.1 > 10.0.0.2 proto 50 payload 0000000100000001",
  "udp 10.0.0.1:5000 > 10.0.0.2:53 options 0101010107040400",
  "udp [2001:db8::1]:5000 > [2001:db8::2]:53 ext hop-by-hop ext destination ext routing 000000000000",
  "arp who-has 10.0.0.2 tell 10.0.0.1",
  "arp reply 10.0.0.2 to 10.0.0.1",
  'vlan 100 udp 10.0.0.1:5000 > 10.0.0.2:53 payload "hello"',
  "vlan 100 vlan 200 tcp 10.0.0.1:4000 > 10.0.0.2:80 syn",
  "type 0x88cc payload 0207040000000000",
  "type 46 payload 424203000000",
];

/** In the order in which they are sent. */
export function listMalformedFrames(): FrameKind[] {
  const sound = soundLines.map(encodePacket);
  const random = new Random(SEED);
  return [
    { name: "sound frames", frames: [...sound, ...listFlows()] },
    { name: "truncated frames", frames: sound.flatMap(listPrefixes) },
    { name: "frames with bytes of a header exchanged", frames: sound.flatMap(listWrongHeaders) },
    { name: "frames with random changes", frames: repeat(() => change(random, random.pick(sound))) },
    { name: "frames of random bytes", frames: repeat(() => random.bytes(random.below(LONGEST))) },
    { name: "sound headers before random bytes", frames: repeat(() => replaceEnd(random, random.pick(sound))) },
    { name: "fragments", frames: Array.from({ length: FRAGMENTS }, () => encodePacket(fragment(random))) },
    { name: "stacks of VLAN tags", frames: Array.from({ length: 24 }, (_, tags) => encodePacket(tagged(tags + 1))) },
    { name: "the longest frames", frames: [1514, 1518, 1522, 9014].map((length) => encodePacket(padded(length))) },
  ];
}

function repeat(make: () => Uint8Array): Uint8Array[] {
  return Array.from({ length: RANDOM_FRAMES }, make);
}

function listFlows(): Uint8Array[] {
  return Array.from({ length: 1024 }, (_, i) =>
    encodePacket(`udp 10.1.${i >> 8}.${i & 255}:${1024 + i} > 10.0.0.2:${i % 3 === 0 ? 53 : 4789}`),
  );
}

function listPrefixes(frame: Uint8Array): Uint8Array[] {
  return Array.from({ length: frame.length }, (_, length) => frame.slice(0, length));
}

/** Each byte in turn: lengths, offsets, types and counts are among them. */
function listWrongHeaders(frame: Uint8Array): Uint8Array[] {
  const length = Math.min(frame.length, HEADER_BYTES);
  return Array.from({ length }, (_, at) => [0, 1, 0x0f, 0x7f, 0x80, 0xff].map((value) => frame.with(at, value))).flat();
}

function change(random: Random, frame: Uint8Array): Uint8Array {
  const changed = frame.slice();
  for (let left = 1 + random.below(8); left > 0; left--) changed[random.below(frame.length)] = random.below(256);
  return changed;
}

function replaceEnd(random: Random, frame: Uint8Array): Uint8Array {
  const kept = frame.slice(0, 14 + random.below(frame.length - 14));
  return Buffer.concat([kept, random.bytes(random.below(LONGEST - kept.length))]);
}

/** Those that overlap, have gaps, are tiny, end beyond 64 KiB or never begin. */
function fragment(random: Random): string {
  const place = `frag id ${random.below(8)} offset ${8 * random.below(random.pick([4, 200, 8192]))}`;
  const more = random.below(3) > 0 ? " more" : "";
  const payload = ` payload ${Buffer.from(random.bytes(8 * (1 + random.below(8)))).toString("hex")}`;
  const ends = random.pick(["10.0.0.1 > 10.0.0.2", "2001:db8::1 > 2001:db8::2"]);
  return `ip ${ends} proto ${random.pick(["udp", "tcp", "icmp", "99"])} ${place}${more}${payload}`;
}

function tagged(tags: number): string {
  return `${"vlan 7 ".repeat(tags)}udp 10.0.0.1:5000 > 10.0.0.2:53`;
}

function padded(length: number): string {
  return `udp 10.0.0.1:5000 > 10.0.0.2:53 zeros ${length - 42}`;
}

/** xorshift32. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** 0 … limit - 1. */
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % Math.max(limit, 1);
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
