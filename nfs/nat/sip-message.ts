// A whole SIP message, written anew with the endpoints that hold on the other side.
import { SCRATCH_BYTES, scratch } from "./payload";
import { putDescription } from "./sdp";
import { endOfLine, hasDescription, putHeaders } from "./sip-headers";
import { isFull, pen, putBytes, write } from "./text";

/** Where it is written. The half of the room in which payloads are put together that is not gathered in. */
export const message: usize = scratch + SCRATCH_BYTES;
const MESSAGE_BYTES: u32 = SCRATCH_BYTES / 2;
const description: usize = message + MESSAGE_BYTES;

/** Behind the empty line, 0 if there is none. */
export function endOfHeaders(from: usize, to: usize): usize {
  let line = from;
  while (line < to) {
    const end = endOfLine(line, to);
    if (load<u8>(end - 1) != 10) return 0;
    if (end - line == 1 || (end - line == 2 && load<u8>(line) == 13)) return end;
    line = end;
  }
  return 0;
}

/** The body first, since the headers say how long it is. Returns the bytes of both, 0 if there are too many. */
export function putMessage(from: usize, body: usize, to: usize): u32 {
  write(description, MESSAGE_BYTES);
  if (hasDescription) putDescription(body, to);
  else putBytes(body, <u32>(to - body));
  if (isFull()) return 0;
  const length = <u32>(pen - description);
  write(message, MESSAGE_BYTES);
  putHeaders(from, body, length);
  putBytes(description, length);
  return isFull() ? 0 : <u32>(pen - message);
}
