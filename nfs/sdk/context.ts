// The context page: where the host put this function's windows, and its place in the chain.

import {
  CONTEXT_ADDRESS,
  CONTEXT_BATCH_ADDRESS,
  CONTEXT_CHUNKS_ADDRESS,
  CONTEXT_COUNTERS_ADDRESS,
  CONTEXT_EVENTS_ADDRESS,
  CONTEXT_FLOW_CAPACITY,
  CONTEXT_LANE,
  CONTEXT_LANE_COUNT,
  CONTEXT_LANE_PORTS,
  CONTEXT_OUTBOX_ADDRESS,
  CONTEXT_PORTS_ADDRESS,
  CONTEXT_PORT_COUNT,
  CONTEXT_RECORDS_ADDRESS,
  CONTEXT_RESULTS_ADDRESS,
  CONTEXT_SEED,
  CONTEXT_SLOT_BYTES,
} from "./abi";

// Windows are mapped before the module starts and never move, so their addresses are read once.
export const batchAddress: usize = load<u32>(CONTEXT_ADDRESS, CONTEXT_BATCH_ADDRESS);
export const recordsAddress: usize = load<u32>(CONTEXT_ADDRESS, CONTEXT_RECORDS_ADDRESS);
export const resultsAddress: usize = load<u32>(CONTEXT_ADDRESS, CONTEXT_RESULTS_ADDRESS);
export const countersAddress: usize = load<u32>(CONTEXT_ADDRESS, CONTEXT_COUNTERS_ADDRESS);
export const outboxAddress: usize = load<u32>(CONTEXT_ADDRESS, CONTEXT_OUTBOX_ADDRESS);
export const eventsAddress: usize = load<u32>(CONTEXT_ADDRESS, CONTEXT_EVENTS_ADDRESS);
export const chunksAddress: usize = load<u32>(CONTEXT_ADDRESS, CONTEXT_CHUNKS_ADDRESS);
export const portsAddress: usize = load<u32>(CONTEXT_ADDRESS, CONTEXT_PORTS_ADDRESS);
/** Bytes of a frame's slot: headroom, frame and tailroom. A power of two. */
export const slotBytes: usize = load<u32>(CONTEXT_ADDRESS, CONTEXT_SLOT_BYTES);

/** Which lane this instance works for, 0 … laneCount - 1. Instances of different lanes share nothing. */
export const lane: u32 = load<u32>(CONTEXT_ADDRESS, CONTEXT_LANE);
export const laneCount: u32 = load<u32>(CONTEXT_ADDRESS, CONTEXT_LANE_COUNT);
/**
 * If not 0, all that a host has is one lane's, and so is all that comes for port p of an address that hosts share: lane
 * (p / lanePorts) modulo laneCount, where a frame comes in that is sent there out of a port of the chain. From 64 on, a power of two.
 */
export const lanePorts: u32 = load<u32>(CONTEXT_ADDRESS, CONTEXT_LANE_PORTS);
/** Ports of the chain; transmit() takes 0 … portCount - 1. */
export const portCount: u32 = load<u32>(CONTEXT_ADDRESS, CONTEXT_PORT_COUNT);
/** The numbers of flows are 1 … flowCapacity. */
export const flowCapacity: u32 = load<u32>(CONTEXT_ADDRESS, CONTEXT_FLOW_CAPACITY);
/** The chain's seed: the only randomness there is, so that a replay is exact. */
export const seed: u64 = load<u64>(CONTEXT_ADDRESS, CONTEXT_SEED);
