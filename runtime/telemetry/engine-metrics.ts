// What one engine's shared pages say, as metrics. Counters stay where they are from one generation to the next and over
// restarts; a function's are summed over all hops that it ever had, so that none goes back when a path is changed.
import { findHopCounters, readCounters } from "../dataplane/counter-layout.ts";
import {
  CALL_SIZE_BUCKETS,
  CALL_TIME_BUCKETS,
  engineDropReasons,
  flowCounters,
  functionCounters,
  hopCounters,
  laneCounters,
  laneUseCounters,
  portCounters,
  portGauges,
} from "../dataplane/layout.ts";
import type { EngineDescription, FunctionDescription } from "../dataplane/state-folder.ts";
import { addCounter } from "./lane-pages.ts";
import { type MetricText, readDeclaredLabel } from "./metric-text.ts";

export interface EnginePages {
  readonly engine: EngineDescription;
  /** Of all lanes together. */
  readonly counters: BigUint64Array;
  /** Of each lane. */
  readonly lanes: readonly BigUint64Array[];
  /** Of a function, by the name whose counters it has, of each lane. */
  declared(stateName: string): readonly BigUint64Array[];
  flowsByState(): Readonly<Record<string, number>>;
}

export interface MetricGroups {
  readonly histograms: boolean;
  readonly counters: boolean;
  readonly flows: boolean;
  readonly rings: boolean;
}

const FIRST_TIME_BOUND_NS = 4;
const timeBounds = Array.from({ length: CALL_TIME_BUCKETS - 1 }, (_, index) =>
  Number((FIRST_TIME_BOUND_NS * 2 ** index * 1e-9).toPrecision(12)),
);
const sizeBounds = Array.from({ length: CALL_SIZE_BUCKETS - 1 }, (_, index) => 2 ** index);

export function addEngine(text: MetricText, pages: EnginePages, groups: MetricGroups): void {
  const { engine } = pages;
  const chain = { chain: engine.chain };
  text.add("sluice_engine_start_time_seconds", chain, Date.parse(engine.started) / 1000);
  text.add("sluice_generation", chain, engine.generation);
  for (const [index] of engine.ports.entries()) addPort(text, pages, index, groups);
  for (const [lane, counters] of pages.lanes.entries()) addLane(text, engine, { lane, counters }, groups);
  addEngineDrops(text, pages);
  for (const described of engine.functions) addFunction(text, pages, described, groups);
  addFlows(text, pages, groups);
}

function addPort(text: MetricText, { engine, counters }: EnginePages, index: number, { rings }: MetricGroups): void {
  const port = { chain: engine.chain, port: engine.ports[index]?.name ?? "" };
  const counted = readCounters(counters, engine.layout.ports[index] as number, portCounters);
  text.add("sluice_port_receive_packets_total", port, counted.receive_frames);
  text.add("sluice_port_receive_bytes_total", port, counted.receive_bytes);
  text.add("sluice_port_receive_dropped_packets_total", port, counted.receive_dropped);
  text.add("sluice_port_transmit_packets_total", port, counted.transmit_frames);
  text.add("sluice_port_transmit_bytes_total", port, counted.transmit_bytes);
  text.add("sluice_port_transmit_dropped_packets_total", port, counted.transmit_dropped);
  const gauges = readCounters(counters, engine.layout.rings[index] as number, portGauges);
  if (!rings || gauges.ring_size === 0) return;
  text.add("sluice_ring_occupancy_packets", { ...port, ring: "receive" }, gauges.receive_ring);
  text.add("sluice_ring_occupancy_packets", { ...port, ring: "transmit" }, gauges.transmit_ring);
  text.add("sluice_ring_size_packets", port, gauges.ring_size);
}

interface LanePages {
  readonly lane: number;
  readonly counters: BigUint64Array;
}

function addLane(
  text: MetricText,
  { chain, layout }: EngineDescription,
  { lane: index, counters }: LanePages,
  { histograms }: MetricGroups,
): void {
  const { turns, malformed, answered, asked, ...fates } = readCounters(counters, layout.lane, laneCounters);
  const lane = { chain, lane: index };
  for (const [fate, value] of Object.entries(fates)) text.add("sluice_packets_total", { ...lane, fate }, value);
  text.add("sluice_malformed_packets_total", lane, malformed);
  text.add("sluice_neighbour_questions_total", { ...lane, fate: "answered" }, answered);
  text.add("sluice_neighbour_questions_total", { ...lane, fate: "asked" }, asked);
  text.add("sluice_lane_turns_total", lane, turns);
  const use = readCounters(counters, layout.laneUse, laneUseCounters);
  text.add("sluice_lane_cpu_seconds_total", lane, use.cpu_ns / 1e9);
  if (!histograms) return;
  const counts = readList(counters, layout.laneUse + laneUseCounters.length, CALL_SIZE_BUCKETS);
  text.addHistogram("sluice_batch_packets", lane, { bounds: sizeBounds, counts, sum: fates.received });
}

function addEngineDrops(text: MetricText, { engine: { chain, layout }, counters }: EnginePages): void {
  const drops = readCounters(counters, layout.lane + laneCounters.length, engineDropReasons);
  for (const [reason, value] of Object.entries(drops)) {
    text.add("sluice_drops_total", { chain, function: "", reason }, value);
  }
  const use = readCounters(counters, layout.laneUse, laneUseCounters);
  const overflows = { mirror: use.mirror_missed, log: use.log_lost, drop_reports: use.drops_skipped };
  for (const [queue, value] of Object.entries({ ...overflows, event_reports: use.events_skipped })) {
    text.add("sluice_queue_overflows_total", { chain, queue }, value);
  }
}

function addFunction(text: MetricText, pages: EnginePages, described: FunctionDescription, groups: MetricGroups): void {
  const { engine, counters } = pages;
  const { name, reasons } = described;
  const labels = { chain: engine.chain, function: name };
  const firsts = findHopCounters(engine.layout, "hop", name);
  const counted = sumLists(firsts.map((first) => readList(counters, first, hopCounters.length)));
  const value = (counter: (typeof hopCounters)[number]) => counted[hopCounters.indexOf(counter)] ?? 0;
  const seconds = value("ticks") / engine.tickHz;
  text.add("sluice_function_packets_total", labels, value("frames"));
  text.add("sluice_function_batches_total", labels, value("batches"));
  text.add("sluice_function_cpu_seconds_total", labels, seconds);
  text.add("sluice_function_faults_total", labels, value("faults"));
  text.add("sluice_function_fault_packets_total", labels, value("fault_frames"));
  for (const verdict of ["next", "drop", "transmit", "branch", "host"] as const) {
    text.add("sluice_function_verdicts_total", { ...labels, verdict }, value(verdict));
  }
  const dropped = sumLists(firsts.map((first) => readList(counters, first + hopCounters.length, reasons.length)));
  for (const [index, reason] of reasons.entries()) {
    text.add("sluice_drops_total", { ...labels, reason }, dropped[index] ?? 0);
  }
  addOutbox(text, pages, described);
  if (groups.histograms) addCalls(text, pages, name, { frames: value("frames"), seconds });
  if (groups.counters) addDeclared(text, pages, described);
}

function addOutbox(text: MetricText, { engine, counters }: EnginePages, { name }: FunctionDescription): void {
  const first = engine.layout.places[`function ${name}`];
  if (first === undefined) return;
  const outbox = readCounters(counters, first, functionCounters);
  const labels = { chain: engine.chain, function: name };
  text.add("sluice_outbox_refused_messages_total", labels, outbox.refused_messages + outbox.bad_outboxes);
  text.add("sluice_queue_overflows_total", { ...labels, queue: "outbox" }, outbox.outbox_overflows);
}

function addCalls(
  text: MetricText,
  { engine, counters }: EnginePages,
  name: string,
  { frames, seconds }: { readonly frames: number; readonly seconds: number },
): void {
  const labels = { chain: engine.chain, function: name };
  const firsts = findHopCounters(engine.layout, "calls of hop", name);
  const read = (from: number, count: number) =>
    sumLists(firsts.map((first) => readList(counters, first + from, count)));
  const times = { bounds: timeBounds, counts: read(0, CALL_TIME_BUCKETS), sum: seconds };
  const sizes = { bounds: sizeBounds, counts: read(CALL_TIME_BUCKETS, CALL_SIZE_BUCKETS), sum: frames };
  text.addHistogram("sluice_function_packet_duration_seconds", labels, times);
  text.addHistogram("sluice_function_batch_packets", labels, sizes);
}

function addDeclared(text: MetricText, pages: EnginePages, described: FunctionDescription): void {
  const values = pages.declared(described.stateName);
  for (const [index, { name, labels, kind }] of described.counters.entries()) {
    const own = { chain: pages.engine.chain, function: described.name, [kind]: name };
    const metric = kind === "gauge" ? "sluice_function_declared" : "sluice_function_declared_total";
    const all = { ...own, ...readDeclaredLabel(labels, Object.keys(own)) };
    text.add(metric, all, addCounter(values, index));
  }
}

function addFlows(text: MetricText, pages: EnginePages, groups: MetricGroups): void {
  const { engine, counters } = pages;
  const { chain, layout } = engine;
  const first = layout.lane + laneCounters.length + engineDropReasons.length;
  const flows = readCounters(counters, first, flowCounters);
  text.add("sluice_flow_table_capacity", { chain }, engine.flowCapacity);
  text.add("sluice_flows_started_total", { chain }, flows.started);
  text.add("sluice_flows_ended_total", { chain }, flows.ended);
  text.add("sluice_flows_evicted_total", { chain }, flows.evicted);
  text.add("sluice_flows_moved_total", { chain }, flows.moved);
  text.add("sluice_flows_lost_total", { chain }, flows.moved_lost);
  text.add("sluice_flows_refused_total", { chain }, flows.refused);
  text.add("sluice_flow_invalid_packets_total", { chain }, flows.invalid);
  text.add("sluice_flow_icmp_errors_total", { chain }, flows.icmp_errors);
  text.add("sluice_fragments_held_total", { chain }, flows.fragments_held);
  text.add("sluice_queue_overflows_total", { chain, queue: "events" }, flows.events_missed);
  if (!groups.flows) return;
  for (const [state, count] of Object.entries(pages.flowsByState())) text.add("sluice_flows", { chain, state }, count);
}

function readList(counters: BigUint64Array, first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => Number(Atomics.load(counters, first + index)));
}

function sumLists(lists: readonly (readonly number[])[]): number[] {
  const [first = [], ...more] = lists;
  return first.map((value, index) => more.reduce((sum, list) => sum + (list[index] ?? 0), value));
}
