// Frames that are replayed against the parser for ever: one JSON file each in test/fixtures/parser/.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ParsedRecord } from "./parsed-record.ts";

const folder = fileURLToPath(new URL("../fixtures/parser/", import.meta.url));

export interface ParserFixture {
  readonly name: string;
  /** What is odd about the frame, in one sentence. */
  readonly description: string;
  /** LINK_*. */
  readonly link: number;
  readonly wireLength: number;
  readonly bytes: Uint8Array;
  /** Fields of the record and what they must be; those that are not named are not looked at. */
  readonly expected: Partial<ParsedRecord>;
}

export function readParserFixtures(): ParserFixture[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .map((file) => {
      const { frame, ...fixture } = JSON.parse(readFileSync(`${folder}${file}`, "utf8"));
      return { name: file.replace(/\.json$/, ""), ...fixture, bytes: Uint8Array.fromHex(frame) };
    });
}
