// Members of tar files, by the program tar: nothing is unpacked, nothing is read that was not asked for.
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import { type ErrorCode, SluiceError } from "../errors.ts";

/** Larger than any member; keeps a wrong file from filling the memory. */
const MEMBER_LIMIT = 96 * 1024 * 1024;

/** One member's bytes. Throws `code` if it cannot be read whole. */
export function readMember(file: string, member: string, code: ErrorCode = "file-unreadable"): Buffer {
  const args = ["--extract", "--to-stdout", "--occurrence=1", "--file", file, "--", member];
  const { status, stdout, stderr, error } = spawnSync("tar", args, { maxBuffer: MEMBER_LIMIT });
  if (status === 0) return stdout;
  const what = `${member} cannot be read from it: ${error?.message ?? stderr.toString().trim().split("\n")[0]}`;
  throw new SluiceError({ code, where: file, what });
}

/** Packs and compresses files of a folder, in that order, without taking the processor from anybody. */
export async function packCompressed(file: string, folder: string, members: readonly string[]): Promise<void> {
  const owner = ["--owner=0", "--group=0", "--numeric-owner", "--mode=0600", "--mtime=@0"];
  const form = ["--format=ustar", "--use-compress-program=gzip -1"];
  const args = ["-n", "19", "tar", "--create", ...form, ...owner, "--file", file, "--directory", folder, ...members];
  await promisify(execFile)("nice", args);
}
