// How far reports were read: a file beside their ring, so that the next process goes on there.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nameInLane } from "../dataplane/lane-files.ts";
import { REPORTS_READ } from "../dataplane/reports.ts";

export interface ReportPosition {
  /** Of the ring's file. */
  readonly inode: number;
  /** Bytes since the ring was made, and the number of the next report; -1n: unknown. */
  readonly tail: bigint;
  readonly next: bigint;
}

const BYTES = 24;

/** Undefined if nobody has read any. */
export function readPosition(folder: string, lane = 0): ReportPosition | undefined {
  try {
    const bytes = readFileSync(join(folder, nameInLane(REPORTS_READ, lane)));
    if (bytes.length !== BYTES) return undefined;
    return { inode: Number(bytes.readBigUInt64LE(0)), tail: bytes.readBigUInt64LE(8), next: bytes.readBigInt64LE(16) };
  } catch {
    return undefined;
  }
}

/** Nothing becomes of it if the folder is gone. */
export function writePosition(folder: string, { inode, tail, next }: ReportPosition, lane = 0): void {
  const bytes = Buffer.alloc(BYTES);
  bytes.writeBigUInt64LE(BigInt(inode), 0);
  bytes.writeBigUInt64LE(tail, 8);
  bytes.writeBigInt64LE(next, 16);
  try {
    writeFileSync(join(folder, nameInLane(REPORTS_READ, lane)), bytes, { mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** Of all lanes. */
export function forgetPositions(folder: string): void {
  for (let lane = 0; existsSync(join(folder, nameInLane(REPORTS_READ, lane))); lane++) {
    rmSync(join(folder, nameInLane(REPORTS_READ, lane)));
  }
}
