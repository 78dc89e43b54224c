// The UDP header (RFC 768).

/** A checksum of 0 over IPv4 means that there is none; checksum.ts knows. */
@unmanaged
@final
export class Udp {
  static readonly BYTES: u32 = 8;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): Udp {
    return changetype<Udp>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): Udp | null {
    return bytes >= Udp.BYTES ? Udp.at(address) : null;
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

  /** Bytes of header and payload. */
  @inline
  get length(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 4));
  }

  @inline
  set length(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 4);
  }

  @inline
  get checksum(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 6));
  }

  @inline
  set checksum(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 6);
  }

  @inline
  get payload(): usize {
    return changetype<usize>(this) + 8;
  }
}
