// What makes one text of another that has the same lines, as edits of a stream: each line from the first byte that differs
// to the last.
import { addEdit, forgetAcknowledged } from "./sequence";
import { endOfLine } from "./sip-headers";
import { Stream, TEXT_BYTES, textOf } from "./streams";
import { putBytes, write } from "./text";

/** `start`: of the old text's first byte. False if too many edits are under way: then there is none of these. */
export function addDifference(stream: Stream, start: u32, old: usize, oldBytes: u32, text: usize, bytes: u32): bool {
  forgetAcknowledged(stream);
  const count = stream.editCount;
  const shift = stream.shift;
  const oldEnd = old + oldBytes;
  let line = text;
  for (let from = old; from < oldEnd;) {
    const to = endOfLine(from, oldEnd);
    const end = endOfLine(line, text + bytes);
    if (!addLine(stream, start + <u32>(from - old), from, <u32>(to - from), line, <u32>(end - line))) {
      stream.editCount = count;
      stream.shift = shift;
      return false;
    }
    from = to;
    line = end;
  }
  return true;
}

function addLine(stream: Stream, start: u32, old: usize, oldBytes: u32, text: usize, bytes: u32): bool {
  const shorter = min(oldBytes, bytes);
  let head: u32 = 0;
  while (head < shorter && load<u8>(old + head) == load<u8>(text + head)) head++;
  if (head == oldBytes && head == bytes) return true;
  let tail: u32 = 0;
  while (tail < shorter - head && load<u8>(old + oldBytes - tail - 1) == load<u8>(text + bytes - tail - 1)) tail++;
  // Each edit has a byte at the least in whose place it stands.
  while (oldBytes - head - tail < editsFor(bytes - head - tail)) {
    if (tail > 0) tail--;
    else if (head > 0) head--;
    else return false;
  }
  return addEdits(stream, start + head, oldBytes - head - tail, text + head, bytes - head - tail);
}

@inline
function editsFor(bytes: u32): u32 {
  return max<u32>(1, (bytes + TEXT_BYTES - 1) / TEXT_BYTES);
}

function addEdits(stream: Stream, start: u32, oldBytes: u32, text: usize, bytes: u32): bool {
  const count = editsFor(bytes);
  let number = start;
  let from = text;
  for (let i: u32 = 1; i <= count; i++) {
    const oldLeft = start + oldBytes - number;
    const oldPart = i == count ? oldLeft : min(TEXT_BYTES, oldLeft - (count - i));
    const part = min(TEXT_BYTES, <u32>(text + bytes - from));
    const edit = addEdit(stream, number, oldPart, part);
    if (edit === null) return false;
    write(textOf(edit), TEXT_BYTES);
    putBytes(from, part);
    number += oldPart;
    from += part;
  }
  return true;
}
