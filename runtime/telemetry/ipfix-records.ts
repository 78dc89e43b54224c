// Flows as IPFIX records: which information elements each template has (IANA's registry; RFC 5103 for the reverse ones), in
// which order, and how a flow becomes their values.
import type { FlowDescription, FlowEndpoint } from "../dataplane/flow-reports.ts";

/** What one record says: counts are of the time from startNs on, and never of a time that an earlier record spoke of. */
export interface IpfixFlow {
  readonly ipVersion: 4 | 6;
  readonly ipProto: number;
  readonly vlan: number;
  readonly source: FlowEndpoint;
  readonly destination: FlowEndpoint;
  /** Source and destination as they leave, if they are translated. */
  readonly translated: readonly [FlowEndpoint, FlowEndpoint] | null;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly endReason: number;
  /** Pairs are [this direction, the other one]. */
  readonly packets: readonly [number, number];
  readonly octets: readonly [number, number];
  readonly tcpFlags: readonly [number, number];
  /** Where this direction comes in and goes out; 0: not known. */
  readonly interfaces: readonly [number, number];
}

export interface IpfixField {
  readonly id: number;
  readonly bytes: number;
  readonly enterprise: number;
  readonly write: (view: DataView, at: number, flow: IpfixFlow) => void;
}

export interface IpfixTemplate {
  readonly id: number;
  readonly fields: readonly IpfixField[];
  /** Of a record. */
  readonly bytes: number;
}

/** RFC 5103, section 6.1: an element about the other direction. */
export const REVERSE = 29305;

const NS_PER_MS = 1_000_000n;

function number(
  id: number,
  bytes: 1 | 2 | 4 | 8,
  read: (flow: IpfixFlow) => number | bigint,
  enterprise = 0,
): IpfixField {
  const write = (view: DataView, at: number, flow: IpfixFlow) => {
    const value = read(flow);
    if (bytes === 8) view.setBigUint64(at, BigInt(value));
    else if (bytes === 4) view.setUint32(at, Number(value));
    else if (bytes === 2) view.setUint16(at, Number(value));
    else view.setUint8(at, Number(value));
  };
  return { id, bytes, enterprise, write };
}

function address(id: number, bytes: 4 | 16, read: (flow: IpfixFlow) => FlowEndpoint): IpfixField {
  const write = (view: DataView, at: number, flow: IpfixFlow) =>
    new Uint8Array(view.buffer, view.byteOffset + at, bytes).set(read(flow).address);
  return { id, bytes, enterprise: 0, write };
}

const times = [
  number(152, 8, ({ startNs }) => startNs / NS_PER_MS), // flowStartMilliseconds
  number(153, 8, ({ endNs }) => endNs / NS_PER_MS), // flowEndMilliseconds
];

const ends = [
  number(7, 2, ({ source }) => source.port), // sourceTransportPort
  number(11, 2, ({ destination }) => destination.port), // destinationTransportPort
  number(4, 1, ({ ipProto }) => ipProto), // protocolIdentifier
  number(6, 1, ({ tcpFlags }) => tcpFlags[0]), // tcpControlBits
  number(136, 1, ({ endReason }) => endReason), // flowEndReason
  number(58, 2, ({ vlan }) => vlan), // vlanId
  number(10, 4, ({ interfaces }) => interfaces[0]), // ingressInterface
  number(14, 4, ({ interfaces }) => interfaces[1]), // egressInterface
  number(2, 8, ({ packets }) => packets[0]), // packetDeltaCount
  number(1, 8, ({ octets }) => octets[0]), // octetDeltaCount
];

const reverse = [
  number(2, 8, ({ packets }) => packets[1], REVERSE),
  number(1, 8, ({ octets }) => octets[1], REVERSE),
  number(6, 1, ({ tcpFlags }) => tcpFlags[1], REVERSE),
  number(239, 1, () => 1), // biflowDirection: initiator
];

const noEndpoint: FlowEndpoint = { address: new Uint8Array(0), port: 0 };

const addresses = {
  4: [
    address(8, 4, ({ source }) => source), // sourceIPv4Address
    address(12, 4, ({ destination }) => destination), // destinationIPv4Address
  ],
  6: [
    address(27, 16, ({ source }) => source), // sourceIPv6Address
    address(28, 16, ({ destination }) => destination), // destinationIPv6Address
  ],
} as const;

const ports = [
  number(227, 2, ({ translated }) => (translated?.[0] ?? noEndpoint).port), // postNAPTSourceTransportPort
  number(228, 2, ({ translated }) => (translated?.[1] ?? noEndpoint).port), // postNAPTDestinationTransportPort
];

const translations = {
  4: [
    address(225, 4, ({ translated }) => translated?.[0] ?? noEndpoint), // postNATSourceIPv4Address
    address(226, 4, ({ translated }) => translated?.[1] ?? noEndpoint), // postNATDestinationIPv4Address
    ...ports,
  ],
  6: [
    address(281, 16, ({ translated }) => translated?.[0] ?? noEndpoint), // postNATSourceIPv6Address
    address(282, 16, ({ translated }) => translated?.[1] ?? noEndpoint), // postNATDestinationIPv6Address
    ...ports,
  ],
} as const;

const FIRST_TEMPLATE = 256;
/** Between them stands the statistics' template (ipfix-message.ts). */
const FIRST_CROSSING = 265;
const CROSSING = 8;

/** By chooseTemplate's index. From 8 on, translated to the other IP version. */
export const templates: readonly IpfixTemplate[] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15].map((shape, index) => {
  const ipVersion = (shape & 4) === 0 ? 4 : 6;
  const translatedVersion = (shape & 8) === 0 ? ipVersion : 10 - ipVersion;
  const fields = [
    ...times,
    ...addresses[ipVersion],
    // Before the elements that they are the reverse of: nfdump 1.7 has one place for both TCP control bits.
    ...((shape & 2) === 0 ? [] : reverse),
    ...ends,
    ...((shape & 1) === 0 ? [] : translations[translatedVersion as 4 | 6]),
  ];
  const id = index < CROSSING ? FIRST_TEMPLATE + index : FIRST_CROSSING + index - CROSSING;
  return { id, fields, bytes: fields.reduce((sum, { bytes }) => sum + bytes, 0) };
});

const versionOf = ({ address }: FlowEndpoint): 4 | 6 => (address.length === 16 ? 6 : 4);

export function chooseTemplate({ ipVersion, translated }: IpfixFlow, biflow: boolean): IpfixTemplate {
  const crosses = translated !== null && versionOf(translated[0]) !== ipVersion;
  const index = crosses
    ? CROSSING + (ipVersion === 6 ? 2 : 0) + (biflow ? 1 : 0)
    : (ipVersion === 6 ? 4 : 0) | (biflow ? 2 : 0) | (translated === null ? 0 : 1);
  return templates[index] as IpfixTemplate;
}

/** flowEndReason (136) by FlowDescription.end. */
const endReasons: Readonly<Record<string, number>> = {
  ...{ active: 2, timeout: 1, closed: 3, reset: 3, evicted: 5, reused: 3, function: 4, shutdown: 4 },
};

const ACTIVE = 2;

/** What was said of a flow before: the next record begins there. */
export interface Reported {
  readonly startNs: bigint;
  readonly lastNs: bigint;
  readonly packets: readonly [number, number];
  readonly octets: readonly [number, number];
}

/** What is new since `before`, as one record. `interfaces` are numbers by index of port. */
export function describeBiflow(
  flow: FlowDescription,
  before: Reported | undefined,
  interfaces: readonly number[],
): IpfixFlow {
  const since = (now: readonly [number, number], then: readonly [number, number] = [0, 0]) =>
    [Math.max(0, now[0] - then[0]), Math.max(0, now[1] - then[1])] as const;
  const { ipVersion, ipProto, vlan, source, destination, reply, tcpFlags } = flow;
  return {
    ...{ ipVersion, ipProto, vlan, source, destination, tcpFlags },
    // The replies' receiver is the source as others see it, and their sender is whom it really talks to.
    translated: reply === null ? null : [reply[1], reply[0]],
    startNs: before?.lastNs ?? flow.startNs,
    endNs: flow.lastNs,
    endReason: endReasons[flow.end] ?? ACTIVE,
    packets: since(flow.packets, before?.packets),
    octets: since(flow.octets, before?.octets),
    interfaces: [interfaces[flow.ports[0]] ?? 0, interfaces[flow.ports[1]] ?? 0],
  };
}

/** The same as one record for each direction in which anything came, each as it comes in. */
export function splitBiflow(flow: IpfixFlow): IpfixFlow[] {
  const { source, destination, translated, packets, octets, tcpFlags, interfaces } = flow;
  const swap = ([to, back]: readonly [number, number]) => [back, to] as const;
  const back: IpfixFlow = {
    ...flow,
    ipVersion: versionOf(translated?.[1] ?? destination),
    source: translated?.[1] ?? destination,
    destination: translated?.[0] ?? source,
    translated: translated === null ? null : [destination, source],
    ...{ packets: swap(packets), octets: swap(octets), tcpFlags: swap(tcpFlags) },
    interfaces: swap(interfaces),
  };
  return [flow, back].filter((each) => each.packets[0] > 0);
}
