// nfs/sdk/ABI.md says the same as nfs/sdk/abi.ts, and the numbers fit together.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import { RECORDS_CAPACITY } from "../../runtime/dataplane/layout.ts";

const specification = readFileSync(new URL("../../nfs/sdk/ABI.md", import.meta.url), "utf8");
const constants: Readonly<Record<string, number>> = { ...abi };

function readTables(): [name: string, value: number][] {
  const rows = specification.matchAll(/^\| `([A-Z][A-Z0-9_]+)` \| (\d+|0x[0-9a-f]+) \| \S.* \|$/gm);
  return [...rows].map(([, name = "", value = ""]) => [name, Number(value)]);
}

/** Fields of a structure: what ABI.md gives a type and an offset. */
function readFields(prefix: string): { name: string; offset: number; bytes: number }[] {
  const rows = specification.matchAll(/^\| `([A-Z0-9_]+)` \| (\d+) \| [ui](\d+)(?:\[(\w+)\])?[:,]? /gm);
  return [...rows]
    .map(([, name = "", offset = "", bits = "", count]) => {
      const elements = count === undefined ? 1 : (constants[count] as number);
      return { name, offset: Number(offset), bytes: (Number(bits) / 8) * elements };
    })
    .filter(({ name }) => name.startsWith(prefix))
    .toSorted((a, b) => a.offset - b.offset);
}

describe("ABI.md", () => {
  it("gives every constant of abi.ts once, with its value", () => {
    const documented = readTables();
    expect(Object.fromEntries(documented)).toEqual(constants);
    expect(documented).toHaveLength(Object.keys(constants).length);
  });

  it.each([
    { structure: "CONTEXT_", bytes: abi.CONTEXT_BYTES, fields: 12 },
    { structure: "BATCH_", bytes: abi.BATCH_BYTES, fields: 4 },
    { structure: "RECORD_", bytes: abi.RECORD_BYTES, fields: 29 },
    { structure: "RESULT_", bytes: abi.RESULT_BYTES, fields: 7 },
  ])("lays $structure out without overlap, aligned, within its size", ({ structure, bytes, fields }) => {
    const found = readFields(structure);
    expect(found.map(({ name }) => name)).toHaveLength(fields);
    found.forEach((field, index) => {
      const next = found[index + 1]?.offset ?? bytes;
      expect(field.offset + field.bytes, `${field.name} and what follows`).toBeLessThanOrEqual(next);
      expect(field.offset % Math.min(field.bytes, 8), `${field.name} is aligned`).toBe(0);
    });
  });

  it("has flags of one bit each, and numbers without gaps", () => {
    const values = (prefix: string) =>
      Object.entries(constants)
        .filter(([name]) => name.startsWith(prefix))
        .map(([, value]) => value);
    for (const prefix of ["RECORD_FLAG_", "RESULT_FLAG_"])
      expect(values(prefix)).toEqual(values(prefix).map((_, index) => 1 << index));
    for (const prefix of ["VERDICT_", "MALFORMED_", "LINK_", "TUNNEL_", "LOG_", "COUNTER_KIND_"])
      expect(values(prefix)).toEqual(values(prefix).map((_, index) => index));
  });

  it("leaves the SDK a byte for each record that may be in a batch", () => {
    const packet = readFileSync(new URL("../../nfs/sdk/packet.ts", import.meta.url), "utf8");
    expect(packet).toContain(`memory.data(${RECORDS_CAPACITY})`);
    expect(abi.BATCH_CAPACITY).toBeLessThanOrEqual(256);
  });
});
