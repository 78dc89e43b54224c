// TCP payload that is replaced by another of another length, and sequence numbers that fit: a stream is the bytes of its
// sender with some edits, whichever way it is cut into segments, the first time or again.
//
//   sender's numbers      ──────┬─ old ─┬──────────       map:   sender's → receiver's
//   receiver's numbers    ──────┴─ new ────┴───────       unmap: receiver's (acknowledgements) → sender's
import { difference32, mend, Tcp, TCP_OPTION_SACK } from "../sdk";
import { Edit, editAt, editLimit, forgetEdits, Stream, textOf } from "./streams";

@inline
export function isAfter(one: u32, other: u32): bool {
  return <i32>(one - other) > 0;
}

/** Where the receiver has the sender's byte. Within an edit as far as both go. */
export function map(stream: Stream, number: u32): u32 {
  let shift = stream.shift;
  for (let i: u32 = <u32>stream.editCount; i > 0; i--) {
    const edit = editAt(stream, i - 1);
    const into = number - edit.start;
    if (<i32>into > 0) {
      if (into >= <u32>edit.oldBytes) return number + shift;
      return edit.start + edit.before + min<u32>(into, edit.newBytes);
    }
    shift = edit.before;
  }
  return number + shift;
}

/** Where the sender has the receiver's byte. An edit is acknowledged as a whole; `up`: what begins in it begins behind it. */
export function unmap(stream: Stream, number: u32, up: bool = false): u32 {
  let shift = stream.shift;
  for (let i: u32 = <u32>stream.editCount; i > 0; i--) {
    const edit = editAt(stream, i - 1);
    const into = number - edit.start - edit.before;
    if (<i32>into > 0) {
      if (into >= <u32>edit.newBytes) return number - shift;
      return edit.start + (up ? <u32>edit.oldBytes : min<u32>(into, <u32>edit.oldBytes - 1));
    }
    shift = edit.before;
  }
  return number - shift;
}

/** The next edit, behind all others; null if too many are under way. Its text is to be written to it. */
export function addEdit(stream: Stream, start: u32, oldBytes: u32, newBytes: u32): Edit | null {
  if (stream.editCount == editLimit(stream)) forgetAcknowledged(stream);
  if (stream.editCount == editLimit(stream)) return null;
  const edit = editAt(stream, stream.editCount);
  stream.editCount++;
  edit.start = start;
  edit.before = stream.shift;
  edit.oldBytes = <u16>oldBytes;
  edit.newBytes = <u16>newBytes;
  stream.shift += newBytes - oldBytes;
  return edit;
}

/** What was acknowledged as a whole does not come again. */
export function forgetAcknowledged(stream: Stream): void {
  let count: u32 = 0;
  while (count < <u32>stream.editCount && !isUnderWay(stream, editAt(stream, count))) count++;
  if (count > 0) forgetEdits(stream, count);
}

/** Numbers are compared up to 2 GiB apart: edits must not be taken for later ones. */
const FAR: u32 = 1 << 30;

export function forgetFarBack(stream: Stream): void {
  if (stream.editCount > 0 && isAfter(stream.expected, editAt(stream, 0).start + FAR)) forgetAcknowledged(stream);
}

@inline
function isUnderWay(stream: Stream, edit: Edit): bool {
  return isAfter(edit.start + edit.oldBytes, stream.acknowledged);
}

/** Whether bytes of an edit are among those of the sender's [from, to). */
export function isEdited(stream: Stream, from: u32, to: u32): bool {
  for (let i: u32 = 0; i < <u32>stream.editCount; i++) {
    const edit = editAt(stream, i);
    if (isAfter(to, edit.start) && isAfter(edit.start + edit.oldBytes, from)) return true;
  }
  return false;
}

/**
 * Writes what the receiver gets in place of the sender's [from, to), whose bytes are at `source`. Returns how many: the
 * first `room` bytes, if it were more.
 */
export function splice(stream: Stream, from: u32, to: u32, source: usize, target: usize, room: u32): u32 {
  brim = target + room;
  let done = from;
  let out = target;
  for (let i: u32 = 0; i < <u32>stream.editCount; i++) {
    const edit = editAt(stream, i);
    const end = edit.start + edit.oldBytes;
    if (!isAfter(to, edit.start) || !isAfter(end, done)) continue;
    if (isAfter(edit.start, done)) {
      out = copy(source + (done - from), out, edit.start - done);
      done = edit.start;
    }
    const first = min<u32>(done - edit.start, edit.newBytes);
    const last = isAfter(end, to) ? min<u32>(to - edit.start, edit.newBytes) : <u32>edit.newBytes;
    out = copy(textOf(edit) + first, out, last - first);
    done = isAfter(end, to) ? to : end;
  }
  out = copy(source + (done - from), out, to - done);
  return <u32>(out - target);
}

let brim: usize = 0;

function copy(from: usize, to: usize, bytes: u32): usize {
  const count = min<u32>(bytes, <u32>(brim - to));
  for (let i: u32 = 0; i < count; i++) store<u8>(to + i, load<u8>(from + i));
  return to + count;
}

// ---- headers: acknowledgements are of the other side's stream ----

/** Takes note of what the segment acknowledges, and says it in the numbers of whom it acknowledges. Returns the change. */
export function turnAcknowledgement(tcp: Tcp, other: Stream): u32 {
  if (!tcp.ack || other.isKnown == 0) return 0;
  const before = tcp.acknowledgement;
  const after = unmap(other, before);
  // What was not sent is not believed. A FIN counts as a byte.
  if (isAfter(after, other.acknowledged) && !isAfter(after, other.expected + 1)) other.acknowledged = after;
  let change = turnSelective(tcp, other);
  if (after != before) {
    tcp.acknowledgement = after;
    change += difference32(before, after);
  }
  return change;
}

/** RFC 2018: pairs of edges, which may stand at an odd offset. */
function turnSelective(tcp: Tcp, other: Stream): u32 {
  if (tcp.headerLength == Tcp.BYTES || (other.shift == 0 && other.editCount == 0)) return 0;
  const option = tcp.findOption(TCP_OPTION_SACK);
  if (option === null) return 0;
  let change: u32 = 0;
  const isOdd = ((option.data - tcp.address) & 1) != 0;
  for (let at: u32 = 0; at + 4 <= option.length - 2; at += 4) {
    const before = bswap<u32>(load<u32>(option.data + at));
    const after = unmap(other, before, (at & 4) == 0);
    store<u32>(option.data + at, bswap<u32>(after));
    change = fold(change + (isOdd ? swapped(before, after) : difference32(before, after)));
  }
  return change;
}

@inline
function fold(sum: u32): u32 {
  return (sum & 0xffff) + (sum >> 16);
}

/** Words at odd offsets count the other way round. */
function swapped(before: u32, after: u32): u32 {
  const sum = difference32(before, after);
  const folded = fold(fold(sum));
  return bswap<u16>(<u16>folded);
}

export function turnSequence(tcp: Tcp, number: u32): u32 {
  const before = tcp.sequence;
  if (before == number) return 0;
  tcp.sequence = number;
  return difference32(before, number);
}

export function mendBy(tcp: Tcp, change: u32): void {
  if (change != 0) tcp.checksum = mend(tcp.checksum, change);
}
