// What functions logged on the packet path, as the lane hands it out: u32 function, level and bytes of the text, which
// follows in UTF-8, filled up with zeros.
import { type LogLevel, logLevels } from "./instance.ts";

const HEAD_BYTES = 12;

export interface LogLine {
  readonly level: LogLevel;
  /** Index in the plan. */
  readonly function: number;
  readonly text: string;
}

export function* readLogLines(lines: ArrayBuffer): Generator<LogLine> {
  const view = new DataView(lines);
  for (let at = 0; at < lines.byteLength; ) {
    const field = (offset: number) => view.getUint32(at + offset, true);
    const bytes = field(8);
    const padded = Buffer.from(lines, at + HEAD_BYTES, bytes).toString();
    yield { function: field(0), level: logLevels[field(4)] ?? "info", text: padded.replace(/\0+$/, "") };
    at += HEAD_BYTES + bytes;
  }
}
