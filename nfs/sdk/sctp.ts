// The SCTP common header and chunks (RFC 9260, section 3). Its checksum is a CRC32c: crc32c.ts.

/** The common header. */
@unmanaged
@final
export class Sctp {
  static readonly BYTES: u32 = 12;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): Sctp {
    return changetype<Sctp>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): Sctp | null {
    return bytes >= Sctp.BYTES ? Sctp.at(address) : null;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get sourcePort(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this)));
  }

  @inline
  set sourcePort(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value));
  }

  @inline
  get destinationPort(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 2));
  }

  @inline
  set destinationPort(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 2);
  }

  @inline
  get verificationTag(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }

  @inline
  set verificationTag(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }

  /** CRC32c, which goes least significant byte first (RFC 9260, appendix A). */
  @inline
  get checksum(): u32 {
    return load<u32>(changetype<usize>(this), 8);
  }

  @inline
  set checksum(value: u32) {
    store<u32>(changetype<usize>(this), value, 8);
  }

  @inline
  get chunks(): usize {
    return changetype<usize>(this) + 12;
  }

  /** The first chunk before `end`, or null if none fits. */
  firstChunk(end: usize): SctpChunk | null {
    return SctpChunk.first(this.chunks, end);
  }

  /** The chunk after that one, or null. Chunks are padded to four bytes. */
  chunkAfter(chunk: SctpChunk | null, end: usize): SctpChunk | null {
    return chunk === null ? null : SctpChunk.first(chunk.address + ((chunk.length + 3) & ~3), end);
  }
}

/** A chunk that lies before the end that it was looked up with. */
@unmanaged
@final
export class SctpChunk {
  static first(address: usize, end: usize): SctpChunk | null {
    if (address + 4 > end) return null;
    const chunk = changetype<SctpChunk>(address);
    return chunk.length >= 4 && address + chunk.length <= end ? chunk : null;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get type(): u32 {
    return load<u8>(changetype<usize>(this));
  }

  @inline
  set type(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value);
  }

  @inline
  get flags(): u32 {
    return load<u8>(changetype<usize>(this), 1);
  }

  @inline
  set flags(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 1);
  }

  /** Bytes, this header included, padding not. */
  @inline
  get length(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 2));
  }

  @inline
  set length(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 2);
  }

  @inline
  get value(): usize {
    return changetype<usize>(this) + 4;
  }
}
