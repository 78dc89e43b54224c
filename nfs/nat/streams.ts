// One direction of a TCP connection whose payload is read in order, and what was changed in it:
//
//   stream │ what came of a line or message that is not complete │ edits
//
// Both directions of a connection stand behind a head of PAIR_HEAD bytes, whose first four say how large segments may be.

/** How far it came. Numbers are the sender's. */
@unmanaged
@final
export class Stream {
  /** Sequence number that comes next. */
  expected: u32;
  /** How far the other side has acknowledged. */
  acknowledged: u32;
  /** What is added to numbers behind the last edit. */
  shift: u32;
  /** Of the line or message that is not complete: how much is kept, and how much of it has not been let on. */
  keptBytes: u16;
  heldBytes: u16;
  /** Where it begins: not known, BEGUN or AGREED. */
  isKnown: u8;
  /** Its rest passes as it comes: 1, and what follows, too: 2. */
  skips: u8;
  editCount: u8;
  /** READS_LINES or READS_MESSAGES. */
  reads: u8;
  /** Of a message whose headers are complete: IN_BODY, and what is left of its body. Before: whether it has a first line. */
  left: u32;
}

/** Bytes that were replaced by others. */
@unmanaged
@final
export class Edit {
  start: u32;
  /** What is added to numbers up to `start`. */
  before: u32;
  oldBytes: u16;
  newBytes: u16;
}

/** A SYN said where the stream begins; it was gone on with from there, and no SYN says otherwise any more. */
export const BEGUN: u8 = 1;
export const AGREED: u8 = 2;

/** FTP has lines, SIP messages. */
export const READS_LINES: u8 = 0;
export const READS_MESSAGES: u8 = 1;

export const LINE_BYTES: u32 = 512;
export const MESSAGE_BYTES: u32 = 8192;
const LINE_EDITS: u32 = 4;
const MESSAGE_EDITS: u32 = 128;
export const TEXT_BYTES: u32 = 64;
const HEAD: u32 = 24;
const EDIT_HEAD: u32 = 12;
const EDIT_BYTES: u32 = EDIT_HEAD + TEXT_BYTES;
export const LINE_STREAM_BYTES: u32 = HEAD + LINE_BYTES + LINE_EDITS * EDIT_BYTES;
export const MESSAGE_STREAM_BYTES: u32 = HEAD + MESSAGE_BYTES + MESSAGE_EDITS * EDIT_BYTES;

export const PAIR_HEAD: u32 = 8;

@inline
function limitAt(stream: Stream, direction: u32): usize {
  const bytes = stream.reads == READS_LINES ? LINE_STREAM_BYTES : MESSAGE_STREAM_BYTES;
  return changetype<usize>(stream) - direction * bytes - PAIR_HEAD + direction * 2;
}

/** The MSS that its receiver's SYN said; 0 if that is not known. */
@inline
export function segmentLimit(stream: Stream, direction: u32): u32 {
  return load<u16>(limitAt(stream, direction));
}

@inline
export function setSegmentLimit(stream: Stream, direction: u32, bytes: u32): void {
  store<u16>(limitAt(stream, direction), <u16>bytes);
}

/** Whether the receiver has other bytes or numbers than the sender. */
@inline
export function isChanged(stream: Stream): bool {
  return stream.shift != 0 || stream.editCount != 0;
}

/** What is kept of a line or message. */
@inline
export function keptOf(stream: Stream): usize {
  return changetype<usize>(stream) + HEAD;
}

@inline
export function editLimit(stream: Stream): u32 {
  return stream.reads == READS_LINES ? LINE_EDITS : MESSAGE_EDITS;
}

@inline
export function editAt(stream: Stream, index: u32): Edit {
  const kept = stream.reads == READS_LINES ? LINE_BYTES : MESSAGE_BYTES;
  return changetype<Edit>(keptOf(stream) + kept + index * EDIT_BYTES);
}

@inline
export function textOf(edit: Edit): usize {
  return changetype<usize>(edit) + EDIT_HEAD;
}

/** The oldest edits are forgotten. */
export function forgetEdits(stream: Stream, count: u32): void {
  const left = <u32>stream.editCount - count;
  const first = changetype<usize>(editAt(stream, 0));
  const from = changetype<usize>(editAt(stream, count));
  for (let i: u32 = 0; count > 0 && i < left * EDIT_BYTES; i += 4) store<u32>(first + i, load<u32>(from + i));
  stream.editCount = <u8>left;
}
