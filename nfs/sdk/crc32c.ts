// CRC32c (Castagnoli), SCTP's checksum (RFC 9260, appendix A).

// The table for four bits at a time: 64 bytes, in the cache whenever it is needed.
const table: usize = memory.data<u32>([
  0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78,
  0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
]);

/** Of an SCTP packet: over all of it, with the checksum field set to 0. */
export function crc32c(address: usize, bytes: u32): u32 {
  let crc: u32 = 0xffffffff;
  for (let i: u32 = 0; i < bytes; i++) {
    crc ^= load<u8>(address + i);
    crc = load<u32>(table + ((crc & 15) << 2)) ^ (crc >> 4);
    crc = load<u32>(table + ((crc & 15) << 2)) ^ (crc >> 4);
  }
  return ~crc;
}
