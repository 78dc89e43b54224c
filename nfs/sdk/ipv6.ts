// The IPv6 header (RFC 8200) and its extension headers. An address is two numbers: its high and low 64 bits.

import {
  IP_PROTO_AH,
  IP_PROTO_DESTINATION_OPTIONS,
  IP_PROTO_FRAGMENT,
  IP_PROTO_HOP_BY_HOP,
  IP_PROTO_MOBILITY,
  IP_PROTO_ROUTING,
} from "./numbers";

/** The fixed header. */
@unmanaged
@final
export class Ipv6 {
  static readonly BYTES: u32 = 40;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): Ipv6 {
    return changetype<Ipv6>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): Ipv6 | null {
    return bytes >= Ipv6.BYTES && load<u8>(address) >> 4 == 6 ? Ipv6.at(address) : null;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get version(): u32 {
    return load<u8>(changetype<usize>(this)) >> 4;
  }

  @inline
  set version(value: u32) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this)) & 0xf) | (value << 4)));
  }

  /** DSCP << 2 | ECN. */
  @inline
  get trafficClass(): u32 {
    return (bswap<u32>(load<u32>(changetype<usize>(this))) >> 20) & 0xff;
  }

  @inline
  set trafficClass(value: u32) {
    store<u32>(
      changetype<usize>(this),
      bswap<u32>(<u32>((bswap<u32>(load<u32>(changetype<usize>(this))) & 0xf00fffff) | ((value & 0xff) << 20))),
    );
  }

  /** RFC 2474. */
  @inline
  get dscp(): u32 {
    return (bswap<u32>(load<u32>(changetype<usize>(this))) >> 22) & 0x3f;
  }

  @inline
  set dscp(value: u32) {
    store<u32>(
      changetype<usize>(this),
      bswap<u32>(<u32>((bswap<u32>(load<u32>(changetype<usize>(this))) & 0xf03fffff) | ((value & 0x3f) << 22))),
    );
  }

  /** RFC 3168. */
  @inline
  get ecn(): u32 {
    return (bswap<u32>(load<u32>(changetype<usize>(this))) >> 20) & 0x3;
  }

  @inline
  set ecn(value: u32) {
    store<u32>(
      changetype<usize>(this),
      bswap<u32>(<u32>((bswap<u32>(load<u32>(changetype<usize>(this))) & 0xffcfffff) | ((value & 0x3) << 20))),
    );
  }

  @inline
  get flowLabel(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this))) & 0xfffff;
  }

  @inline
  set flowLabel(value: u32) {
    store<u32>(
      changetype<usize>(this),
      bswap<u32>(<u32>((bswap<u32>(load<u32>(changetype<usize>(this))) & 0xfff00000) | (value & 0xfffff))),
    );
  }

  /** Bytes after the fixed header, extension headers included. */
  @inline
  get payloadLength(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 4));
  }

  @inline
  set payloadLength(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 4);
  }

  @inline
  get nextHeader(): u32 {
    return load<u8>(changetype<usize>(this), 6);
  }

  @inline
  set nextHeader(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 6);
  }

  @inline
  get hopLimit(): u32 {
    return load<u8>(changetype<usize>(this), 7);
  }

  @inline
  set hopLimit(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 7);
  }

  @inline
  get sourceHigh(): u64 {
    return bswap<u64>(load<u64>(changetype<usize>(this), 8));
  }

  @inline
  set sourceHigh(value: u64) {
    store<u64>(changetype<usize>(this), bswap<u64>(value), 8);
  }

  @inline
  get sourceLow(): u64 {
    return bswap<u64>(load<u64>(changetype<usize>(this), 16));
  }

  @inline
  set sourceLow(value: u64) {
    store<u64>(changetype<usize>(this), bswap<u64>(value), 16);
  }

  @inline
  get destinationHigh(): u64 {
    return bswap<u64>(load<u64>(changetype<usize>(this), 24));
  }

  @inline
  set destinationHigh(value: u64) {
    store<u64>(changetype<usize>(this), bswap<u64>(value), 24);
  }

  @inline
  get destinationLow(): u64 {
    return bswap<u64>(load<u64>(changetype<usize>(this), 32));
  }

  @inline
  set destinationLow(value: u64) {
    store<u64>(changetype<usize>(this), bswap<u64>(value), 32);
  }

  @inline
  get payload(): usize {
    return changetype<usize>(this) + 40;
  }

  /**
   * The first extension header of that kind (an IP_PROTO_*) in [payload, end), or null. Of a packet, `end` is
   * `packet.l4`, or `packet.frame + packet.length` if no transport header is present.
   */
  findExtension(kind: u32, end: usize): Ipv6Extension | null {
    let next = this.nextHeader;
    let address = this.payload;
    while (isExtension(next) && address + 8 <= end) {
      const extension = changetype<Ipv6Extension>(address);
      if (address + extension.lengthAs(next) > end) return null;
      if (next == kind) return extension;
      address += extension.lengthAs(next);
      next = extension.nextHeader;
    }
    return null;
  }
}

function isExtension(ipProto: u32): bool {
  return (
    ipProto == IP_PROTO_HOP_BY_HOP ||
    ipProto == IP_PROTO_ROUTING ||
    ipProto == IP_PROTO_FRAGMENT ||
    ipProto == IP_PROTO_AH ||
    ipProto == IP_PROTO_DESTINATION_OPTIONS ||
    ipProto == IP_PROTO_MOBILITY
  );
}

/** What all extension headers begin with (RFC 8200, section 4). */
@unmanaged
@final
export class Ipv6Extension {
  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get nextHeader(): u32 {
    return load<u8>(changetype<usize>(this));
  }

  @inline
  set nextHeader(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value);
  }

  /** As on the wire; its unit depends on the kind of header, see lengthAs. */
  @inline
  get extensionLength(): u32 {
    return load<u8>(changetype<usize>(this), 1);
  }

  @inline
  set extensionLength(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 1);
  }

  /** Bytes of the header, itself included, if it is of that kind. */
  lengthAs(kind: u32): u32 {
    if (kind == IP_PROTO_FRAGMENT) return 8;
    return kind == IP_PROTO_AH ? (this.extensionLength + 2) << 2 : (this.extensionLength + 1) << 3;
  }

  /** Of a routing header (RFC 8200, section 4.4). */
  @inline
  get routingType(): u32 {
    return load<u8>(changetype<usize>(this), 2);
  }

  /** Of a routing header. */
  @inline
  get segmentsLeft(): u32 {
    return load<u8>(changetype<usize>(this), 3);
  }

  @inline
  set segmentsLeft(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 3);
  }

  /** Of a fragment header (RFC 8200, section 4.5): bytes from the start of the whole; a multiple of 8. */
  @inline
  get fragmentOffset(): u32 {
    return (bswap<u16>(load<u16>(changetype<usize>(this), 2)) >> 3) << 3;
  }

  @inline
  set fragmentOffset(value: u32) {
    store<u16>(
      changetype<usize>(this),
      bswap<u16>(<u16>((bswap<u16>(load<u16>(changetype<usize>(this), 2)) & 0x7) | ((value >> 3) << 3))),
      2,
    );
  }

  /** Of a fragment header. */
  @inline
  get moreFragments(): bool {
    return (bswap<u16>(load<u16>(changetype<usize>(this), 2)) & 0x1) != 0;
  }

  @inline
  set moreFragments(value: bool) {
    store<u16>(
      changetype<usize>(this),
      bswap<u16>(<u16>((bswap<u16>(load<u16>(changetype<usize>(this), 2)) & 0xfffe) | (<u32>value))),
      2,
    );
  }

  /** Of a fragment header. */
  @inline
  get identification(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }

  @inline
  set identification(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }
}
