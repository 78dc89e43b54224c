// nfs/sdk/ABI.md says the same as nfs/sdk/abi.ts, and the numbers fit together.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import * as layout from "../../runtime/dataplane/layout.ts";
import * as map from "../../runtime/dataplane/memory-map.ts";

const { PAGE_BYTES } = map;
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
      const elements = count === undefined ? 1 : (constants[count] ?? Number(count));
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
    { structure: "CONTEXT_", bytes: abi.CONTEXT_BYTES, fields: 18 },
    { structure: "BATCH_", bytes: abi.BATCH_BYTES, fields: 4 },
    { structure: "RECORD_", bytes: abi.RECORD_BYTES, fields: 29 },
    { structure: "RESULT_", bytes: abi.RESULT_BYTES, fields: 7 },
    { structure: "FLOW_", bytes: abi.FLOW_PRIVATE, fields: 21 },
    { structure: "EVENTS_", bytes: abi.EVENTS_ENTRIES, fields: 2 },
    { structure: "EVENT_ENTRY_", bytes: abi.EVENT_ENTRY_BYTES, fields: 5 },
    { structure: "CHUNKS_", bytes: abi.CHUNKS_ENTRIES, fields: 1 },
    { structure: "CHUNK_", bytes: abi.CHUNK_BYTES, fields: 8 },
    { structure: "OUTBOX_", bytes: abi.OUTBOX_MESSAGES, fields: 2 },
    { structure: "MESSAGE_", bytes: abi.MESSAGE_HEAD_BYTES, fields: 5 },
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
    for (const prefix of ["RECORD_FLAG_", "RESULT_FLAG_", "FLOW_FLAG_", "CHUNK_FLAG_"])
      expect(values(prefix)).toEqual(values(prefix).map((_, index) => 1 << index));
    for (const prefix of [
      "VERDICT_",
      "MALFORMED_",
      "LINK_",
      "TUNNEL_",
      "LOG_",
      "COUNTER_KIND_",
      "FLOW_STATE_",
      "FLOW_END_",
    ])
      expect(values(prefix)).toEqual(values(prefix).map((_, index) => index));
  });

  it("has pages that hold all their entries, and as many custom events as there are bits for", () => {
    expect(abi.EVENTS_BYTES).toBe(abi.EVENTS_ENTRIES + abi.EVENTS_CAPACITY * abi.EVENT_ENTRY_BYTES);
    expect(abi.CHUNKS_BYTES).toBe(abi.CHUNKS_ENTRIES + abi.CHUNKS_CAPACITY * abi.CHUNK_BYTES);
    expect(abi.EVENT_CUSTOM * 2 ** (abi.EVENT_CUSTOM_COUNT - 1)).toBe(2 ** 31);
    expect((abi.OUTBOX_BYTES - abi.OUTBOX_MESSAGES) % 8).toBe(0);
  });

  it("has room for them in a function's segment and in its memory, page by page", () => {
    const pages = (bytes: number) => Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
    const parts = [
      [0, abi.CONTEXT_BYTES],
      [layout.STATE_OUTBOX_OFFSET, abi.OUTBOX_BYTES],
      [layout.STATE_EVENTS_OFFSET, abi.EVENTS_BYTES],
      [layout.STATE_CHUNKS_OFFSET, abi.CHUNKS_BYTES],
    ] as const;
    const ends = parts.map(([offset, bytes]) => offset + pages(bytes));
    expect(ends).toEqual([...parts.slice(1).map(([offset]) => offset), layout.STATE_BYTES]);
    const windows = [
      [map.COUNTERS_ADDRESS, map.COUNTERS_BYTES],
      [map.OUTBOX_ADDRESS, abi.OUTBOX_BYTES],
      [map.EVENTS_ADDRESS, abi.EVENTS_BYTES],
      [map.CHUNKS_ADDRESS, abi.CHUNKS_BYTES],
    ] as const;
    windows.forEach(([address, bytes], index) => {
      expect(address % PAGE_BYTES).toBe(0);
      expect(address + pages(bytes)).toBeLessThan(windows[index + 1]?.[0] ?? map.WINDOWS_ADDRESS);
    });
  });

  it("leaves the SDK a byte for each record that may be in a batch", () => {
    const packet = readFileSync(new URL("../../nfs/sdk/packet.ts", import.meta.url), "utf8");
    expect(packet).toContain(`memory.data(${layout.RECORDS_CAPACITY})`);
    expect(abi.BATCH_CAPACITY).toBeLessThanOrEqual(256);
  });
});
