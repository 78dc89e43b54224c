// One option of an IPv4 or TCP header: kind, length, data (RFC 791 section 3.1, RFC 9293 section 3.1).

export const OPTION_END = 0;
export const OPTION_NO_OPERATION = 1;

/** An option of at least two bytes that lies within its header. */
@unmanaged
@final
export class Option {
  /** The first option in [address, end), or null: none, end of options, or one that does not fit. */
  static first(address: usize, end: usize): Option | null {
    while (address < end && load<u8>(address) == OPTION_NO_OPERATION) address++;
    if (address + 2 > end || load<u8>(address) == OPTION_END) return null;
    const option = changetype<Option>(address);
    return option.length >= 2 && option.end <= end ? option : null;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get kind(): u32 {
    return load<u8>(changetype<usize>(this));
  }

  @inline
  set kind(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value);
  }

  /** Bytes, kind and length included. */
  @inline
  get length(): u32 {
    return load<u8>(changetype<usize>(this), 1);
  }

  @inline
  set length(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 1);
  }

  /** Address of the `length - 2` bytes of data. */
  @inline
  get data(): usize {
    return changetype<usize>(this) + 2;
  }

  @inline
  get end(): usize {
    return changetype<usize>(this) + this.length;
  }
}
