import { expect, it } from "vitest";
import { RECORD_BYTES, RECORD_FLOW } from "../../nfs/sdk/abi.ts";
import { SHARED_RECORDS_OFFSET } from "../../runtime/dataplane/layout.ts";
import { openFaultFunction } from "../support/fault-function.ts";

it("a frame whose flow gave way to another within its batch belongs to no flow", async () => {
  const fn = await openFaultFunction("", { flows: { capacity: 2 } });
  const packets = [1, 2, 3].map((host) => `udp 10.0.0.${host}:1 > 10.9.9.9:53`);
  expect(fn.process(packets)).toEqual(packets.map((packet) => `next ${packet}`));
  const records = new DataView(fn.lane.memory.shared.buffer, SHARED_RECORDS_OFFSET);
  const flows = [0, 1, 2].map((record) => records.getUint32(record * RECORD_BYTES + RECORD_FLOW, true));
  expect(flows).toEqual([0, expect.any(Number), expect.any(Number)]);
  expect(new Set(flows).size).toBe(3);
  fn.close();
});
