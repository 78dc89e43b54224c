// What an author writes as properties and methods is loads and stores in the module: the packet path calls nothing.
import { describe, expect, it } from "vitest";
import { compileFunction } from "../../runtime/function/compile.ts";
import { decodeModule, type ModuleFunction } from "../../runtime/function/module.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const rewriting = `
  import { batch, Config, Counter, CounterArray, difference32, mend, mendUdp, Reason } from "sluice/sdk";
  export { nf_abi } from "sluice/sdk/exports";
  const frames = new Counter("frames");
  const hits = new CounterArray("hits", ["rule=1", "rule=2"]);
  const expired = new Reason("expired");
  export function nf_configure(json: string): bool { return Config.parse(json).accepted(); }
  export function nf_process(): void {
    for (let i = 0; i < batch.count; i++) {
      const packet = batch.packet(i);
      frames.add(packet.wireLength);
      const ip = packet.ipv4;
      if (ip === null) continue;
      if (ip.ttl < 2) { packet.drop(expired, ip.ttl); continue; }
      ip.decrementTtl();
      const change = difference32(ip.source, 0x0a000001);
      ip.source = 0x0a000001;
      ip.checksum = mend(ip.checksum, change);
      const tcp = packet.tcp;
      const udp = packet.udp;
      if (tcp !== null) { tcp.checksum = mend(tcp.checksum, change); tcp.ece = !tcp.syn; }
      else if (udp !== null) udp.checksum = mendUdp(udp.checksum, change);
      packet.rewritten();
      packet.mark = packet.hash;
      hits.add(packet.direction);
      if (packet.vlanId == 7) packet.transmit(1);
    }
  }`;

const keeping = `
  import { batch, Column, EVENT_START, Label, Reason, Segment } from "sluice/sdk";
  export { nf_abi } from "sluice/sdk/exports";
  const port = new Column<u16>("nat.port");
  const score = new Column<u64>("ids.score");
  const suspect = new Label("suspect");
  const table = new Segment("table");
  const bad = new Reason("bad");
  export function nf_configure(json: string): bool { return json.length > 0; }
  export function nf_process(): void {
    for (let i = 0; i < batch.count; i++) {
      const packet = batch.packet(i);
      const flow = packet.flow;
      if (flow === null) continue;
      if (packet.has(EVENT_START)) port.set(flow, <u16>packet.sourcePort);
      score.set(flow, score.get(flow) + flow.packets(packet.direction));
      store<u32>(table.address + (flow.number << 2), port.get(flow));
      if (suspect.isOn(packet)) packet.drop(bad);
    }
  }`;

const processOf = (wasm: Uint8Array) => {
  const module = decodeModule(wasm);
  const index = module.exports.find(({ name }) => name === "nf_process")?.index;
  return module.functions.find((body) => body.index === index) as ModuleFunction;
};

describe("the packet path", () => {
  it("of hello is one small function that calls nothing", async () => {
    const { wasm } = await compileFunction(`${projectRoot}/nfs/hello`);
    const { calls, start, end } = processOf(wasm);
    expect([...calls]).toEqual([]);
    expect(end - start).toBeLessThan(200);
  });

  it("of a function that reads, rewrites, counts and decides calls nothing", async () => {
    const { wasm } = await compileFunction(makeFolder({ "index.ts": rewriting }));
    const { calls, end, start } = processOf(wasm);
    expect([...calls]).toEqual([]);
    expect(end - start).toBeGreaterThan(300);
  });

  it("of a function that keeps state per flow calls nothing", async () => {
    const { wasm } = await compileFunction(makeFolder({ "index.ts": keeping }));
    const { calls, end, start } = processOf(wasm);
    expect([...calls]).toEqual([]);
    expect(end - start).toBeLessThan(300);
  });
});
