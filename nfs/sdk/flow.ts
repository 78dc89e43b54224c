// The flow that a packet belongs to. Its number is all that columns, labels and the outbox need; what the host itself
// knows of it is the column "flow", to be declared in the manifest: `"columns": { "reads": ["flow"] }`.

import {
  FLOW_BYTES,
  FLOW_DEADLINE,
  FLOW_END,
  FLOW_FIRST_SIDE,
  FLOW_FLAGS,
  FLOW_FLAG_ASSURED,
  FLOW_FLAG_CLOSING,
  FLOW_FLAG_MIDSTREAM,
  FLOW_FLAG_RELATED,
  FLOW_FLAG_REPLIED,
  FLOW_INVALID,
  FLOW_IP_PROTO,
  FLOW_IP_VERSION,
  FLOW_LABELS,
  FLOW_LAST,
  FLOW_OCTETS,
  FLOW_OUT_OF_ORDER,
  FLOW_PACKETS,
  FLOW_RETRANSMISSIONS,
  FLOW_RTT,
  FLOW_START,
  FLOW_STATE,
  FLOW_TCP_FLAGS,
  FLOW_TIMEOUT,
  FLOW_VLAN,
  FLOW_ZERO_WINDOWS,
  FLOW_ZONE,
} from "./abi";
import { openColumn } from "./imports";

// Asked for only by functions that read a flow's record: the others need not declare it.
@lazy
const recordsOfFlows: usize = openColumn("flow", FLOW_BYTES);

/**
 * A flow, by its number: `const flow = packet.flow; if (flow !== null) …`. All but the number is read from the host's
 * record. Directions are those of records: 0 from the flow's first sender, 1 the other way.
 */
@unmanaged
@final
export class Flow {
  /** 1 … flowCapacity. The number of a flow that has ended is given to a new one. */
  @inline
  get number(): u32 {
    return <u32>changetype<usize>(this);
  }

  /** FLOW_STATE_*. */
  @inline
  get state(): u32 {
    return load<u8>(this.record, FLOW_STATE);
  }

  @inline
  get ipProto(): u32 {
    return load<u8>(this.record, FLOW_IP_PROTO);
  }

  /** 4 or 6. */
  @inline
  get ipVersion(): u32 {
    return load<u8>(this.record, FLOW_IP_VERSION);
  }

  /** Frames went both ways. */
  @inline
  get isReplied(): bool {
    return (load<u8>(this.record, FLOW_FLAGS) & FLOW_FLAG_REPLIED) != 0;
  }

  /** Not evicted when the table is full. */
  @inline
  get isAssured(): bool {
    return (load<u8>(this.record, FLOW_FLAGS) & FLOW_FLAG_ASSURED) != 0;
  }

  /** Picked up in the middle: its handshake was not seen. */
  @inline
  get isMidstream(): bool {
    return (load<u8>(this.record, FLOW_FLAGS) & FLOW_FLAG_MIDSTREAM) != 0;
  }

  /** A function asked for its end. */
  @inline
  get isClosing(): bool {
    return (load<u8>(this.record, FLOW_FLAGS) & FLOW_FLAG_CLOSING) != 0;
  }

  /** A function expected it, on behalf of another flow: FTP's data connections, media of a call. */
  @inline
  get isRelated(): bool {
    return (load<u8>(this.record, FLOW_FLAGS) & FLOW_FLAG_RELATED) != 0;
  }

  /** Label bits; labels.ts. */
  @inline
  get labels(): u32 {
    return load<u32>(this.record, FLOW_LABELS);
  }

  /** Time of the first frame, in ns since 1970. */
  @inline
  get start(): u64 {
    return load<u64>(this.record, FLOW_START);
  }

  /** Time of the last frame, in ns since 1970. */
  @inline
  get last(): u64 {
    return load<u64>(this.record, FLOW_LAST);
  }

  /** The flow ends if nothing comes until then, in ns since 1970. */
  @inline
  get deadline(): u64 {
    return load<u64>(this.record, FLOW_DEADLINE);
  }

  /** Frames in that direction. */
  @inline
  packets(direction: u32): u64 {
    return load<u64>(this.record + ((<usize>direction) << 3), FLOW_PACKETS);
  }

  /** Bytes on the wire in that direction. */
  @inline
  octets(direction: u32): u64 {
    return load<u64>(this.record + ((<usize>direction) << 3), FLOW_OCTETS);
  }

  /** All TCP flags seen in that direction: TCP_* bits. */
  @inline
  tcpFlags(direction: u32): u32 {
    return load<u8>(this.record + <usize>direction, FLOW_TCP_FLAGS);
  }

  /** TCP segments sent again in that direction; stops at 65535. */
  @inline
  retransmissions(direction: u32): u32 {
    return load<u16>(this.record + ((<usize>direction) << 1), FLOW_RETRANSMISSIONS);
  }

  /** TCP segments that came after later ones; stops at 65535. */
  @inline
  outOfOrder(direction: u32): u32 {
    return load<u16>(this.record + ((<usize>direction) << 1), FLOW_OUT_OF_ORDER);
  }

  /** How often the sender of that direction closed its receive window; stops at 65535. */
  @inline
  zeroWindows(direction: u32): u32 {
    return load<u16>(this.record + ((<usize>direction) << 1), FLOW_ZERO_WINDOWS);
  }

  /** FLOW_END_*: why it ended, FLOW_END_NONE while it lives. */
  @inline
  get end(): u32 {
    return load<u8>(this.record, FLOW_END);
  }

  /** Endpoint, 0 or 1 of the flow's key, that sent the first frame. */
  @inline
  get firstSide(): u32 {
    return load<u8>(this.record, FLOW_FIRST_SIDE);
  }

  /** Number of the zone that the chain puts its ports into; 0 by default. */
  @inline
  get zone(): u32 {
    return load<u16>(this.record, FLOW_ZONE);
  }

  /** VLAN id of the outermost tag, 0 for none. */
  @inline
  get vlan(): u32 {
    return load<u16>(this.record, FLOW_VLAN);
  }

  /** Smoothed round-trip time in microseconds, 0 if unknown. */
  @inline
  get rtt(): u32 {
    return load<u32>(this.record, FLOW_RTT);
  }

  /** Timeout in milliseconds that a function set, 0 for the state's own. */
  @inline
  get timeout(): u32 {
    return load<u32>(this.record, FLOW_TIMEOUT);
  }

  /** Frames that do not belong where they stood in the connection. */
  @inline
  get invalid(): u32 {
    return load<u32>(this.record, FLOW_INVALID);
  }

  @inline
  private get record(): usize {
    return recordsOfFlows + changetype<usize>(this) * FLOW_BYTES;
  }
}
