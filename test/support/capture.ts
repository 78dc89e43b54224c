// Captures as bytes: pcap and pcapng of either byte order and precision, and a reader for what replay writes.

export interface CapturedPacket {
  readonly bytes: Uint8Array;
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint;
  /** Length on the wire; that of `bytes` unless said otherwise. */
  readonly wireLength?: number;
}

export interface PcapOptions {
  readonly linkType?: number;
  readonly nanoseconds?: boolean;
  readonly bigEndian?: boolean;
  readonly snapLength?: number;
}

const ETHERNET = 1;
const SNAP_LENGTH = 262144;
const NANOSECONDS_PER_SECOND = 1_000_000_000n;

export function encodePcap(packets: readonly CapturedPacket[], options: PcapOptions = {}): Buffer {
  const { linkType = ETHERNET, nanoseconds = false, bigEndian = false, snapLength = SNAP_LENGTH } = options;
  const fields = fieldWriter(bigEndian);
  const magic = nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4;
  const header = fields([4, magic], [2, 2], [2, 4], [4, 0], [4, 0], [4, snapLength], [4, linkType]);
  const unit = nanoseconds ? 1n : 1000n;
  const records = packets.map(({ bytes, timeNs, wireLength = bytes.length }) => {
    const seconds = Number(timeNs / NANOSECONDS_PER_SECOND);
    const fraction = Number((timeNs % NANOSECONDS_PER_SECOND) / unit);
    return Buffer.concat([fields([4, seconds], [4, fraction], [4, bytes.length], [4, wireLength]), bytes]);
  });
  return Buffer.concat([header, ...records]);
}

export interface CaptureInterface {
  readonly linkType: number;
  readonly snapLength?: number;
  /** if_tsresol: 6 for microseconds, 9 for nanoseconds. */
  readonly resolution?: number;
}

export interface PcapngPacket extends CapturedPacket {
  /** Index of its interface. */
  readonly on?: number;
}

export function encodePcapng(
  packets: readonly PcapngPacket[],
  interfaces: readonly CaptureInterface[] = [{ linkType: ETHERNET }],
  bigEndian = false,
): Buffer {
  const fields = fieldWriter(bigEndian);
  const block = (type: number, body: Buffer) => {
    const padded = Buffer.concat([body, Buffer.alloc(-body.length & 3)]);
    const length = padded.length + 12;
    return Buffer.concat([fields([4, type], [4, length]), padded, fields([4, length])]);
  };
  const section = block(0x0a0d0d0a, fields([4, 0x1a2b3c4d], [2, 1], [2, 0], [4, 0xffffffff], [4, 0xffffffff]));
  const descriptions = interfaces.map(({ linkType, snapLength = SNAP_LENGTH, resolution = 6 }) => {
    const options = fields([2, 9], [2, 1], [1, resolution], [1, 0], [2, 0], [4, 0]);
    return block(1, Buffer.concat([fields([2, linkType], [2, 0], [4, snapLength]), options]));
  });
  const blocks = packets.map(({ bytes, timeNs, wireLength = bytes.length, on = 0 }) => {
    const { resolution = 6 } = interfaces[on] as CaptureInterface;
    const units = timeNs / 10n ** BigInt(9 - resolution);
    const [high, low] = [Number(units >> 32n), Number(units & 0xffffffffn)];
    return block(6, Buffer.concat([fields([4, on], [4, high], [4, low], [4, bytes.length], [4, wireLength]), bytes]));
  });
  return Buffer.concat([section, ...descriptions, ...blocks]);
}

type Field = readonly [bytes: 1 | 2 | 4, value: number];

function fieldWriter(bigEndian: boolean): (...fields: readonly Field[]) => Buffer {
  return (...fields) =>
    Buffer.concat(
      fields.map(([length, value]) => {
        const bytes = Buffer.alloc(length);
        if (bigEndian) bytes.writeUIntBE(value, 0, length);
        else bytes.writeUIntLE(value, 0, length);
        return bytes;
      }),
    );
}

export interface DecodedPcap {
  readonly linkType: number;
  readonly nanoseconds: boolean;
  readonly packets: readonly Required<CapturedPacket>[];
}

/** A little-endian pcap; throws if it is anything else or not whole. */
export function decodePcap(file: Buffer): DecodedPcap {
  const magic = file.readUInt32LE(0);
  if (magic !== 0xa1b2c3d4 && magic !== 0xa1b23c4d) throw new Error(`magic ${magic.toString(16)}`);
  const nanoseconds = magic === 0xa1b23c4d;
  const packets: Required<CapturedPacket>[] = [];
  let at = 24;
  while (at < file.length) {
    const length = file.readUInt32LE(at + 8);
    const fraction = BigInt(file.readUInt32LE(at + 4)) * (nanoseconds ? 1n : 1000n);
    const timeNs = BigInt(file.readUInt32LE(at)) * NANOSECONDS_PER_SECOND + fraction;
    const bytes = file.subarray(at + 16, at + 16 + length);
    if (bytes.length !== length) throw new Error(`cut at ${at}`);
    packets.push({ bytes: new Uint8Array(bytes), timeNs, wireLength: file.readUInt32LE(at + 12) });
    at += 16 + length;
  }
  return { linkType: file.readUInt32LE(20), nanoseconds, packets };
}
