// Reports of a running lane in the shape of Suricata's EVE log.
import { type FlowReport, flowStates } from "../dataplane/flow-reports.ts";
import { readFrame } from "../dataplane/frame-reader.ts";
import type { NativeAddon } from "../dataplane/native.ts";
import { formatAddress, formatDrop, formatTimestamp, nameIpProto } from "./eve.ts";
import { describeColumns } from "./flow-lines.ts";
import type { EndedFlow, RaisedEvent, Report, SampledDrop } from "./report-reader.ts";

const TCP = 6;
const NS_PER_S = 1_000_000_000n;
/** Suricata's states, where ours are not named alike. */
const states: Readonly<Record<string, string>> = {
  ...Object.fromEntries(flowStates.map((state) => [state, "established"])),
  ...{ none: "new", new: "new", syn_sent: "new", syn_recv: "new", syn_sent2: "new" },
  ...{ fin_wait: "closed", close_wait: "closed", last_ack: "closed", time_wait: "closed", closed: "closed" },
};

/** One line, with its end. */
export function formatReport(native: Pick<NativeAddon, "parse">, report: Report): string {
  if (report.kind === "drop") return formatSampledDrop(native, report);
  const event = report.kind === "flow" ? describeFlowEvent(report) : describeAlert(report);
  return `${JSON.stringify(event)}\n`;
}

function formatSampledDrop(native: Pick<NativeAddon, "parse">, drop: SampledDrop): string {
  const frame = readFrame(native, drop.bytes, drop.link, Math.max(drop.length, drop.bytes.length));
  const { timeNs, port, reason, flow, oneOf } = drop;
  return formatDrop({ timeNs, port, reason, flow, oneOf, function: drop.function }, frame);
}

function describeFlowEvent({ timeNs, flow, columns, labels }: EndedFlow): object {
  const { state, end, startNs, lastNs } = flow;
  return {
    timestamp: formatTimestamp(timeNs),
    ...describeFlow(flow, "flow"),
    flow: {
      ...describeCounts(flow),
      end: formatTimestamp(lastNs),
      age: Number((lastNs - startNs) / NS_PER_S),
      state: states[state] ?? state,
      reason: end,
    },
    ...(flow.ipProto === TCP ? { tcp: describeTcp(flow) } : {}),
    sluice: {
      state,
      ...(flow.labels === 0 ? {} : { labels: labels.filter((_, bit) => (flow.labels >>> bit) & 1) }),
      ...describeColumns(flow, columns),
    },
  };
}

/** An event that a function raised; what it said with it is the signature's number. */
function describeAlert({ timeNs, flow, function: raiser, event, value }: RaisedEvent): object {
  const signature = { gid: 1, signature_id: value, rev: 0, signature: `${raiser}: ${event}` };
  return {
    timestamp: formatTimestamp(timeNs),
    ...describeFlow(flow, "alert"),
    alert: { action: "allowed", ...signature, category: "", severity: 3 },
    flow: describeCounts(flow),
    sluice: { function: raiser, event, value },
  };
}

function describeFlow(
  { serial, vlan, source, destination, reply, ipProto, ipVersion }: FlowReport,
  type: string,
): object {
  return {
    flow_id: serial,
    event_type: type,
    vlan: vlan === 0 ? undefined : [vlan],
    src_ip: formatAddress(source.address),
    src_port: source.port,
    dest_ip: formatAddress(destination.address),
    dest_port: destination.port,
    proto: nameIpProto(ipProto),
    ip_v: ipVersion,
    ...(reply === null
      ? {}
      : { nat: { src_ip: formatAddress(reply[1].address), src_port: reply[1].port, ...describeServer(reply[0]) } }),
  };
}

function describeServer({ address, port }: FlowReport["source"]): object {
  return { dest_ip: formatAddress(address), dest_port: port };
}

function describeCounts({ packets, octets, startNs }: FlowReport): object {
  return {
    pkts_toserver: packets[0],
    pkts_toclient: packets[1],
    bytes_toserver: octets[0],
    bytes_toclient: octets[1],
    start: formatTimestamp(startNs),
  };
}

function describeTcp({ tcpFlags: [toServer, toClient] }: FlowReport): object {
  const hex = (flags: number) => flags.toString(16).padStart(2, "0");
  return { tcp_flags: hex(toServer | toClient), tcp_flags_ts: hex(toServer), tcp_flags_tc: hex(toClient) };
}
