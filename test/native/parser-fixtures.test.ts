import { describe, expect, it } from "vitest";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { readRecord } from "../support/parsed-record.ts";
import { readParserFixtures } from "../support/parser-fixtures.ts";

const addon = loadAddon();
const fixtures = readParserFixtures();

describe("frames that the parser must read right for ever", () => {
  it("are there", () => expect(fixtures.length).toBeGreaterThan(10));

  it.each(fixtures)("$name: $description", ({ bytes, link, wireLength, expected }) => {
    expect(Object.keys(expected).length).toBeGreaterThan(0);
    expect(readRecord(addon.parse(bytes, link, wireLength))).toMatchObject(expected);
  });
});
