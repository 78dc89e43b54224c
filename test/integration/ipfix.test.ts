// Flows that an exporter sends, as Debian's nfcapd receives and nfdump prints them.
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { IpfixSettings } from "../../runtime/chain/telemetry.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { ExportedFlows } from "../../runtime/telemetry/exported-flows.ts";
import { compressAddress } from "../../runtime/telemetry/flow-lines.ts";
import { FlowTableView } from "../../runtime/telemetry/flow-table-view.ts";
import { FlowTables } from "../../runtime/telemetry/flow-tables.ts";
import { IpfixExporter } from "../../runtime/telemetry/ipfix-exporter.ts";
import { type EndedFlow, ReportReader } from "../../runtime/telemetry/report-reader.ts";
import { type DumpedFlow, Nfcapd, nfcapdObstacle } from "../support/nfcapd.ts";
import { ObservedLane } from "../support/observed-lane.ts";

const native = loadAddon();
const obstacle = nfcapdObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

const tupleOf = ({ src4_addr, src6_addr, dst4_addr, dst6_addr, src_port, dst_port, proto }: DumpedFlow) =>
  `${proto} ${src4_addr ?? src6_addr}:${src_port} > ${dst4_addr ?? dst6_addr}:${dst_port}`;

function addUp(flows: readonly DumpedFlow[]): Record<string, readonly number[]> {
  const sums: Record<string, number[]> = {};
  for (const flow of flows) {
    const key = tupleOf(flow);
    const counts = [flow.in_packets, flow.in_bytes, flow.out_packets ?? 0, flow.out_bytes ?? 0];
    sums[key] = counts.map((count, index) => count + (sums[key]?.[index] ?? 0));
  }
  return sums;
}

/** The same of what the engine said. */
function addUpReports(flows: readonly EndedFlow[]): Record<string, readonly number[]> {
  return Object.fromEntries(
    flows.map(({ flow: { ipProto, source, destination, packets, octets } }) => [
      `${ipProto} ${compressAddress(source.address)}:${source.port} > ${compressAddress(destination.address)}:${destination.port}`,
      [packets[0], octets[0], packets[1], octets[1]],
    ]),
  );
}

describe.skipIf(obstacle !== null)(`flows that nfcapd receives${skipped}`, () => {
  let lane: ObservedLane;
  let reader: ReportReader;
  let collector: Nfcapd;
  let exporter: IpfixExporter;
  let exported: ExportedFlows;

  const start = (settings: Partial<IpfixSettings>) => {
    exporter = new IpfixExporter({
      ...{ host: "127.0.0.1", port: collector.port, biflow: true, activeTimeoutS: 60, templateEveryS: 60 },
      ...{ observationDomain: 1, ...settings },
    });
  };
  const exportEnds = () => {
    const ended = reader.read().filter((each): each is EndedFlow => each.kind === "flow");
    exporter.begin({ exported, interfaces: lane.found.engine.ports.map(({ ifindex }) => ifindex) });
    for (const each of ended) exporter.end(each);
    exporter.flush();
    return ended;
  };
  /** Both directions of many flows of both families, some of them translated. */
  const talk = (flows = 60) => {
    for (let i = 0; i < flows; i++) {
      const [there, back] =
        i % 2 === 0
          ? [`10.0.0.${i}:${1000 + i} > 192.0.2.1:80`, `192.0.2.1:80 > 10.0.0.${i}:${1000 + i}`]
          : [`[2001:db8::${i + 1}]:5000 > [2001:db8:1::1]:443`, `[2001:db8:1::1]:443 > [2001:db8::${i + 1}]:5000`];
      const [proto, flags] = i % 3 === 0 ? ["tcp", "psh ack"] : ["udp", ""];
      lane.send(Array.from({ length: 1 + (i % 4) }, () => `${proto} ${there} ${flags} pad ${100 + i}`));
      if (i % 5 !== 0) lane.send([`${proto} ${back} ${flags} pad 300`], 2, "out");
    }
    lane.send(["udp 10.1.0.1:1000 > 192.0.2.1:53", "udp [2001:db8::a]:1000 > [2001:db8::b]:53"]);
  };

  beforeEach(async () => {
    lane = await ObservedLane.open();
    reader = new ReportReader(native, lane.found.path);
    exported = ExportedFlows.open(native, lane.found.engine.flowCapacity, lane.found.path);
    collector = await Nfcapd.start();
  });
  afterEach(async () => {
    await exporter.stop();
    await collector.stop();
    lane.close();
  });

  it("have the counts that the flow engine has, in one record for both directions", async () => {
    start({ biflow: true });
    talk();
    lane.endFlows();
    const ended = exportEnds();
    const received = await collector.read();
    expect(ended.length).toBe(62);
    expect(addUp(received)).toEqual(addUpReports(ended));
    expect(received).toHaveLength(62);
    expect(received.every(({ input_snmp, output_snmp }) => input_snmp === 100 && output_snmp === 101)).toBe(true);
    expect(received.filter(({ proto, tcp_flags }) => proto === 6 && tcp_flags !== "........").length).toBe(20);
    expect(collector.said).toContain("Sequence Errors: 0, Bad Packets: 0");
  });

  it("have them in one record for each direction, if the settings say so", async () => {
    start({ biflow: false });
    talk();
    lane.endFlows();
    const ended = exportEnds();
    const received = await collector.read();
    const total = (pick: (flow: DumpedFlow) => number) => received.reduce((sum, flow) => sum + pick(flow), 0);
    const said = Object.values(addUpReports(ended));
    const sum = (...places: number[]) =>
      said.reduce((all, counts) => all + places.reduce((some, place) => some + (counts[place] ?? 0), 0), 0);
    expect([total(({ in_packets }) => in_packets), total(({ in_bytes }) => in_bytes)]).toEqual([sum(0, 2), sum(1, 3)]);
    expect(received).toHaveLength(said.length + said.filter(([, , back]) => back !== 0).length);
    expect(received.every(({ out_packets }) => out_packets === undefined)).toBe(true);
    const ways = new Set(received.map(({ input_snmp, output_snmp }) => `${input_snmp} > ${output_snmp}`));
    expect([...ways].sort()).toEqual(["100 > 101", "101 > 100"]);
  });

  it("have the addresses after translation", async () => {
    start({});
    lane.send(["udp 10.1.0.1:1000 > 192.0.2.1:53", "udp 10.1.0.1:7 > 192.0.2.1:8"]);
    lane.send(["udp 192.0.2.53:53 > 203.0.113.1:61000 pad 200"], 5, "out");
    lane.endFlows();
    exportEnds();
    const [translated, plain] = await collector.read();
    expect(translated).toMatchObject({
      ...{ src4_addr: "10.1.0.1", dst4_addr: "192.0.2.1", src4_xlt_ip: "203.0.113.1", dst4_xlt_ip: "192.0.2.53" },
      ...{ in_packets: 1, out_packets: 1, out_bytes: 200 },
    });
    expect([Number(translated?.src_xlt_port), Number(translated?.dst_xlt_port)]).toEqual([61000, 53]);
    expect(plain?.src4_xlt_ip).toBeUndefined();
  });

  it("have the ports after translation for IPv6; its addresses nfdump 1.7 does not read", async () => {
    start({});
    lane.send(["udp [2001:db8::a]:1000 > [2001:db8::b]:53"]);
    lane.endFlows();
    exportEnds();
    const [translated] = await collector.read();
    expect(translated).toMatchObject({ src6_addr: "2001:db8::a", dst6_addr: "2001:db8::b", in_packets: 1 });
    expect([Number(translated?.src_xlt_port), Number(translated?.dst_xlt_port)]).toEqual([61000, 53]);
  });

  it("are told of while they go on, and only what is new each time", async () => {
    start({ activeTimeoutS: 1 });
    const { flowCapacity } = lane.found.engine;
    const segment = native.attachSegment(`${lane.found.path}/flows`);
    const table = new FlowTables([new FlowTableView(segment, flowCapacity, native.flowStatesOffset(flowCapacity))]);
    const talkOn = async () => {
      lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:80 pad 100", "udp 10.0.0.2:1000 > 192.0.2.1:80 pad 60"]);
      lane.send(["udp 192.0.2.1:80 > 10.0.0.1:1000 pad 500"], 1, "out");
      for (let poll = 0; poll < 8; poll++) {
        await sleep(200);
        exportEnds();
        exporter.sweep(table);
        exporter.flush();
      }
    };
    await talkOn();
    const soon = exporter.statistics.records;
    await talkOn();
    await talkOn();
    lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:80 pad 100"]);
    lane.endFlows();
    const ended = exportEnds();
    const received = await collector.read();
    expect(soon).toBe(2);
    expect(ended.map(({ flow }) => flow.packets)).toEqual([
      [4, 3],
      [3, 0],
    ]);
    expect(addUp(received)).toEqual(addUpReports(ended));
    expect(received).toHaveLength(7);
  });
});
