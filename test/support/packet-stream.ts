// Streams of packets that each begin a flow of their own, from a device; and clients that say what their calls came to.
import type { ChildProcess } from "node:child_process";
import { text } from "node:stream/consumers";
import type { Namespace } from "../../runtime/testing/network.ts";

// AF_PACKET has no Node API; Python's socket module is on every Debian. Sums are left to whoever wants them: IPv4 only.
const stream = `
import signal, socket, struct, sys, time
device, kind, sources, count, pause = sys.argv[1], sys.argv[2], sys.argv[3].split(","), int(sys.argv[4]), float(sys.argv[5])
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((device, 0))
going = True
def stop(*_):
  global going
  going = False
signal.signal(signal.SIGTERM, stop)
def fold(data):
  total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
  while total >> 16: total = (total & 0xffff) + (total >> 16)
  return ~total & 0xffff
def frame(source, port, number):
  addresses = socket.inet_aton(source) + socket.inet_aton("10.9.0.2")
  if kind == "udp": proto, body = 17, struct.pack("!HHHHI", port, 7100, 12, 0, number)
  else:
    proto, body = 6, struct.pack("!HHIIBBHHH", port, 80, number, 0, 0x50, 2, 65535, 0, 0)
    body = body[:16] + struct.pack("!H", fold(addresses + struct.pack("!HH", 6, 20) + body)) + body[18:]
  head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), number & 0xffff, 0, 64, proto, 0) + addresses
  head = head[:10] + struct.pack("!H", fold(head)) + head[12:]
  return bytes.fromhex("0200000000bb0200000000aa0800") + head + body
number = 0
while going and (count == 0 or number < count):
  for source in sources: out.send(frame(source, 1024 + number % 60000, number))
  number += 1
  if pause > 0: time.sleep(pause)
print(number)
`;

export interface StreamOptions {
  readonly kind: "udp" | "syn";
  readonly sources: readonly string[];
  /** Rounds of one packet per source; 0: until it is stopped. */
  readonly rounds?: number;
  readonly pauseMs?: number;
}

/** UDP to 10.9.0.2:7100 whose payload is the round's number, or SYNs to 10.9.0.2:80. */
export class PacketStream {
  readonly #child: ChildProcess;
  readonly #output: Promise<string>;

  constructor(from: Namespace, { kind, sources, rounds = 0, pauseMs = 0 }: StreamOptions) {
    const args = ["-c", stream, "eth0", kind, sources.join(","), String(rounds), String(pauseMs / 1000)];
    this.#child = from.spawn("python3", args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#output = text(this.#child.stdout as NodeJS.ReadableStream);
  }

  /** How many rounds it sent, once it has sent all. */
  async sent(): Promise<number> {
    return Number(await this.#output);
  }

  async stop(): Promise<number> {
    this.#child.kill("SIGTERM");
    return this.sent();
  }
}

const call = `
import errno, socket, sys
kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(15)
# Of UDP, errors that may pass are told only to who asks: IP_RECVERR, IPV6_RECVERR.
s.setsockopt(*((41, 25, 1) if ":" in host else (0, 11, 1)))
try:
  s.connect((host, port))
  if kind == "udp":
    s.send(b"hello")
    s.recv(100)
  print("answered")
except socket.timeout: print("silence")
except OSError as error: print(errno.errorcode[error.errno])
`;

/** What a client is told that calls: `answered`, `silence`, or the name of an error such as ECONNREFUSED. */
export async function callFrom(from: Namespace, kind: "tcp" | "udp", host: string, port: number): Promise<string> {
  return (await from.run("python3", "-c", call, kind, host, String(port))).stdout.trim();
}
