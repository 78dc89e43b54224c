// What holds for any traffic: no two inside endpoints share an outside one, what comes back finds who it is for, all
// checksums are right, and nothing is left when all has ended.
import { describe, expect, it } from "vitest";
import { buildFrame, exchange, ICMP, readFrame, type Seen, TCP, type Tuple, UDP } from "../support/nat-traffic.ts";
import { openNat } from "../support/nat-under-test.ts";

const PACKETS = 1_000_000;
/** Where the first behaviour has shown it with all of them. */
const FEWER = 100_000;
const BATCH = 250;
const MILLISECOND = 1_000_000n;
const SECOND = 1_000_000_000n;
const TEN_DAYS = 864_000n * SECOND;
/** No session ends sooner, whatever its protocol and state. */
const LEAST_LIFE = 59n * SECOND;
const INSIDE = 0x0a000000;
const REMOTE = 0xc0000200;

/** xorshift32: the same traffic in every run. */
function makeRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const insideOf = ({ ipProto, source, sourcePort }: Tuple) => `${ipProto} ${source}:${sourcePort}`;
/** With endpoint-independent mapping nobody else may have it; otherwise nobody else towards the same remote endpoint. */
const outsideOf = (tuple: Tuple) => `${tuple.ipProto} ${tuple.source}:${tuple.sourcePort}`;
/** Shared ports are one's alone towards one remote endpoint; identifiers are never shared. */
const sharedOf = (tuple: Tuple) =>
  `${outsideOf(tuple)}${tuple.ipProto === ICMP ? "" : ` ${tuple.destination}:${tuple.destinationPort}`}`;

interface Owner {
  readonly inside: string;
  readonly tuple: Tuple;
  readonly time: bigint;
}

/** What a mapping promises, checked packet by packet. */
class Ledger {
  readonly keyOf: (tuple: Tuple) => string;

  constructor(keyOf: (tuple: Tuple) => string) {
    this.keyOf = keyOf;
  }

  readonly faults: string[] = [];
  readonly owners = new Map<string, Owner>();
  passed = 0;
  returned = 0;

  left(sent: Tuple, hadChecksum: boolean, { tuple, isSound, hasChecksum }: Seen, time: bigint): void {
    this.passed++;
    const [inside, outside] = [insideOf(sent), this.keyOf(tuple)];
    const owner = this.owners.get(outside);
    if (owner !== undefined && owner.inside !== inside && time - owner.time < LEAST_LIFE)
      this.faults.push(`${outside} of ${owner.inside} was given to ${inside}`);
    if (tuple.destination !== sent.destination) this.faults.push(`${outside} has another destination`);
    if (!isSound || hasChecksum !== hadChecksum) this.faults.push(`${outside}: checksum`);
    this.owners.set(outside, { inside, tuple: sent, time });
  }

  came(owner: Owner, { tuple, isSound }: Seen): void {
    this.returned++;
    if (tuple.destination !== owner.tuple.source || tuple.destinationPort !== owner.tuple.sourcePort)
      this.faults.push(`a reply to ${owner.inside} came to ${tuple.destination}:${tuple.destinationPort}`);
    if (!isSound) this.faults.push(`a reply to ${owner.inside}: checksum`);
  }
}

function randomTuple(random: (limit: number) => number): Tuple {
  const ipProto = [TCP, UDP, ICMP][random(3)] as number;
  const sourcePort = 1 + random(48) * 1361;
  return {
    ipProto,
    source: INSIDE + 1 + random(40),
    sourcePort,
    destination: REMOTE + 1 + random(6),
    destinationPort: ipProto === ICMP ? sourcePort : 53,
  };
}

/** Sends so many packets, half from inside, half answers of those that were called. */
async function play(packets: number, rule: object, flows: object = {}, keyOf = outsideOf) {
  const source = { from: ["10.0.0.0/8"], pool: ["203.0.113.0/30"], ...rule };
  const nat = await openNat({ sources: [source] }, { flows });
  const random = makeRandom(0x9e3779b9);
  const ledger = new Ledger(keyOf);
  let time = 1_700_000_000n * SECOND;
  for (let sent = 0; sent < packets; sent += 2 * BATCH) {
    time += BigInt(BATCH) * 2n * MILLISECOND;
    const tuples = Array.from({ length: BATCH }, () => randomTuple(random));
    const checked = tuples.map(({ ipProto }) => ipProto !== UDP || random(4) > 0);
    const frames = tuples.map((tuple, id) => buildFrame(tuple, id, false, checked[id]));
    const left = exchange(nat.fn, 0, frames, time);
    for (const seen of left) ledger.left(tuples[seen.id] as Tuple, checked[seen.id] as boolean, seen, time);
    const replies = left.map(({ tuple }, id) => {
      const back = { source: tuple.destination, destination: tuple.source };
      const ports = { sourcePort: tuple.destinationPort, destinationPort: tuple.sourcePort };
      return buildFrame({ ipProto: tuple.ipProto, ...back, ...ports }, id, true);
    });
    const came = exchange(nat.fn, 1, replies, time + MILLISECOND);
    for (const seen of came) ledger.came(ledger.owners.get(keyOf((left[seen.id] as Seen).tuple)) as Owner, seen);
    if (came.length !== left.length) ledger.faults.push(`${left.length - came.length} replies were dropped`);
  }
  return { nat, ledger, time };
}

describe("random packets", () => {
  it.each([
    { packets: PACKETS, mapping: "endpoint-independent" },
    { packets: FEWER, mapping: "address-dependent" },
    { packets: FEWER, mapping: "address-and-port-dependent" },
  ])(
    "$packets with $mapping mapping are translated one to one, and leave nothing behind",
    async ({ packets, mapping }) => {
      const { nat, ledger, time } = await play(packets, { mapping, filtering: mapping });
      expect(ledger.faults.slice(0, 5)).toEqual([]);
      expect([ledger.passed, ledger.returned]).toEqual([packets / 2, packets / 2]);
      expect(nat.counter("sessions")).toBeGreaterThan(1000);
      exchange(
        nat.fn,
        0,
        [buildFrame({ ...randomTuple(makeRandom(1)), source: 0xac100001 }, 0, false)],
        time + TEN_DAYS,
      );
      expect(nat.held).toEqual([0, 0, 0, 0]);
      nat.close();
    },
    300_000,
  );

  it("on a full table and with few ports leak nothing, and all ports can be given again", async () => {
    const few = { pool: ["203.0.113.1"], ports: "2000-2063", parity: false };
    const { nat, ledger, time } = await play(FEWER, few, { capacity: 300 });
    expect(ledger.faults.filter((fault) => fault.includes("checksum"))).toEqual([]);
    expect(ledger.passed).toBeLessThan(FEWER / 2);
    const idle = { ipProto: UDP, source: 0xac100001, sourcePort: 1, destination: REMOTE, destinationPort: 1 };
    exchange(nat.fn, 0, [buildFrame(idle, 0, false)], time + TEN_DAYS);
    expect(nat.held).toEqual([0, 0, 0, 0]);
    const fresh = Array.from({ length: 65 }, (_, i) => buildFrame({ ...idle, source: INSIDE + i }, i, false));
    const given = exchange(nat.fn, 0, fresh, time + TEN_DAYS + SECOND);
    expect(new Set(given.map(({ tuple }) => tuple.sourcePort)).size).toBe(64);
    nat.close();
  }, 300_000);

  it("with blocks of ports are translated one to one, and leave no block behind", async () => {
    const { nat, ledger, time } = await play(FEWER, { blocks: { size: 64, perHost: 1 } });
    expect(ledger.faults.slice(0, 5)).toEqual([]);
    expect([ledger.passed, ledger.returned]).toEqual([FEWER / 2, FEWER / 2]);
    expect(nat.counter("blocks")).toBe(40);
    exchange(nat.fn, 0, [buildFrame({ ...randomTuple(makeRandom(1)), source: 0xac100001 }, 0, false)], time + TEN_DAYS);
    expect([...nat.held, nat.counter("blocks")]).toEqual([0, 0, 0, 0, 0]);
    nat.close();
  }, 300_000);

  it("that share ports are told apart by their remote endpoints, and leave nothing behind", async () => {
    const dependent = "address-and-port-dependent";
    const few = { pool: ["203.0.113.1"], ports: "2000-4499", parity: false };
    const shares = { ...few, mapping: dependent, filtering: dependent, sharePorts: true };
    const { nat, ledger, time } = await play(FEWER, shares, {}, sharedOf);
    expect(ledger.faults.slice(0, 5)).toEqual([]);
    expect([ledger.passed, ledger.returned]).toEqual([FEWER / 2, FEWER / 2]);
    const ofUdp = [...ledger.owners.keys()].filter((key) => key.startsWith(`${UDP} `));
    expect(ofUdp.length).toBeGreaterThan(2500);
    exchange(nat.fn, 0, [buildFrame({ ...randomTuple(makeRandom(1)), source: 0xac100001 }, 0, false)], time + TEN_DAYS);
    expect(nat.held).toEqual([0, 0, 0, 0]);
    nat.close();
  }, 300_000);

  it("are checked by a reader that sees a wrong checksum", () => {
    const frame = buildFrame({ ...randomTuple(makeRandom(3)), ipProto: TCP }, 1, false);
    expect(readFrame(frame).isSound).toBe(true);
    frame.set([0xff], frame.length - 5);
    expect(readFrame(frame).isSound).toBe(false);
  });
});
