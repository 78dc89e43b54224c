// Text as UTF-8, without allocating.

const REPLACEMENT: u32 = 0xfffd;

/** Writes at most three bytes per code unit to `to`; returns how many. Lone surrogates become U+FFFD. */
export function encodeUtf8(text: string, to: usize): u32 {
  const first = changetype<usize>(text);
  const end = first + ((<usize>text.length) << 1);
  let at = to;
  for (let from = first; from < end; from += 2) {
    let code: u32 = load<u16>(from);
    if ((code & 0xf800) == 0xd800) {
      const low: u32 = from + 2 < end ? load<u16>(from, 2) : 0;
      const isPair = (code & 0xfc00) == 0xd800 && (low & 0xfc00) == 0xdc00;
      code = isPair ? 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff) : REPLACEMENT;
      if (isPair) from += 2;
    }
    at = encodeCode(code, at);
  }
  return <u32>(at - to);
}

/** One code point (RFC 3629, section 3). Returns the address behind it. */
function encodeCode(code: u32, to: usize): usize {
  if (code < 0x80) {
    store<u8>(to, code);
    return to + 1;
  }
  if (code < 0x800) {
    store<u8>(to, 0xc0 | (code >> 6));
    store<u8>(to, continuation(code), 1);
    return to + 2;
  }
  if (code < 0x10000) {
    store<u8>(to, 0xe0 | (code >> 12));
    store<u8>(to, continuation(code >> 6), 1);
    store<u8>(to, continuation(code), 2);
    return to + 3;
  }
  store<u8>(to, 0xf0 | (code >> 18));
  store<u8>(to, continuation(code >> 12), 1);
  store<u8>(to, continuation(code >> 6), 2);
  store<u8>(to, continuation(code), 3);
  return to + 4;
}

@inline
function continuation(bits: u32): u8 {
  return <u8>(0x80 | (bits & 0x3f));
}
