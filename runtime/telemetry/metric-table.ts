// Every metric of /metrics: its name, what kind of number it is, and what it says. README.md has the same table.

export interface MetricForm {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
}

const counter = (help: string): MetricForm => ({ type: "counter", help });
const gauge = (help: string): MetricForm => ({ type: "gauge", help });
const histogram = (help: string): MetricForm => ({ type: "histogram", help });

/** In the order in which they are written. */
export const metricTable = {
  sluice_build_info: gauge("Always 1; the version that answers."),
  sluice_engine_start_time_seconds: gauge("When the engine's process started, in seconds since 1970."),
  sluice_generation: gauge("The generation that has the lane."),
  sluice_upgrade_state: gauge("1 for the state in which the chain's upgrade is, 0 for the others."),
  sluice_port_receive_packets_total: counter("Packets received on a port."),
  sluice_port_receive_bytes_total: counter("Bytes received on a port."),
  sluice_port_receive_dropped_packets_total: counter("Packets lost before the lane saw them."),
  sluice_port_transmit_packets_total: counter("Packets transmitted on a port."),
  sluice_port_transmit_bytes_total: counter("Bytes transmitted on a port."),
  sluice_port_transmit_dropped_packets_total: counter("Packets that a port did not take, or its device did not send."),
  sluice_ring_occupancy_packets: gauge("Packets that waited in a ring with the device in the lane's last turn."),
  sluice_ring_size_packets: gauge("Packets that each of a port's rings holds."),
  sluice_packets_total: counter(
    "Packets of a lane by what became of them: received and emitted are the sum of the rest.",
  ),
  sluice_malformed_packets_total: counter("Packets with damaged headers."),
  sluice_neighbour_questions_total: counter(
    "Questions for link addresses (ARP, neighbour discovery) that ports answered for others, or asked themselves.",
  ),
  sluice_lane_turns_total: counter("Turns of a lane, also those in which nothing came."),
  sluice_lane_cpu_seconds_total: counter("Processor time of a lane's threads."),
  sluice_batch_packets: histogram("Packets that a lane received in a turn in which any came."),
  sluice_drops_total: counter("Dropped packets by reason. Without a function: by the engine."),
  sluice_function_packets_total: counter("Packets that a function was given."),
  sluice_function_batches_total: counter("Calls of a function with packets."),
  sluice_function_cpu_seconds_total: counter("Time that a function's calls with packets took."),
  sluice_function_verdicts_total: counter("Packets by what a function said of them."),
  sluice_function_faults_total: counter("Calls in which a function failed."),
  sluice_function_fault_packets_total: counter("Packets of failed calls, or with a result that does not hold."),
  sluice_function_packet_duration_seconds: histogram("Time per packet: of each call, its time divided by its packets."),
  sluice_function_batch_packets: histogram("Packets per call of a function."),
  sluice_function_declared_total: counter("Counters that functions declared."),
  sluice_function_declared: gauge("Gauges that functions declared."),
  sluice_outbox_refused_messages_total: counter("Messages of a function that could not be carried out."),
  sluice_flows: gauge("Live flows by state."),
  sluice_flow_table_capacity: gauge("Flows that the table holds at the most."),
  sluice_flows_started_total: counter("Flows that began."),
  sluice_flows_ended_total: counter("Flows that ended."),
  sluice_flows_evicted_total: counter("Flows that ended because the table was full."),
  sluice_flows_moved_total: counter(
    "Flows that went to another lane when lanes, or what flows are spread by, were changed.",
  ),
  sluice_flows_lost_total: counter("Flows for which there was no room on the lane that they went to."),
  sluice_flows_refused_total: counter("Packets for whose flow there was no room."),
  sluice_flow_invalid_packets_total: counter("Packets that do not belong where they stand in their flow."),
  sluice_flow_icmp_errors_total: counter("ICMP errors that were matched to a flow."),
  sluice_fragments_held_total: counter("Fragments that had to wait for their first one."),
  sluice_queue_overflows_total: counter("What a queue had no room for."),
} as const satisfies Readonly<Record<string, MetricForm>>;

export type MetricName = keyof typeof metricTable;
