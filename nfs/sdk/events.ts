// What happens to flows. Inline, as bits of the packet that it happened with: `packet.has(EVENT_START)`. Batched, for
// work that can wait: the manifest subscribes to events, and nf_events finds them in `events` once per turn.

import {
  EVENT_ENTRY_BYTES,
  EVENT_ENTRY_DIRECTION,
  EVENT_ENTRY_EVENT,
  EVENT_ENTRY_FLOW,
  EVENT_ENTRY_TIME,
  EVENT_ENTRY_VALUE,
  EVENTS_COUNT,
  EVENTS_ENTRIES,
  EVENTS_MISSED,
  MESSAGE_EVENT,
} from "./abi";
import { eventsAddress } from "./context";
import { Flow } from "./flow";
import { findEvent } from "./imports";
import { submitMessage } from "./outbox";

/**
 * An event that a function defines: `const scan = new CustomEvent("ids.scan");` Under `defines` in the manifest of the one
 * that raises it, under `subscribes` in those of others.
 */
@unmanaged
@final
export class CustomEvent {
  constructor(name: string) {
    return changetype<CustomEvent>(<usize>findEvent(name));
  }

  /** Its bit, as in `packet.events` and `event.kind`. */
  @inline
  get mask(): u32 {
    return (<u32>1) << (<u32>changetype<usize>(this));
  }

  /**
   * Tells the subscribers, and sets the bit on the flow's packets of this batch for the functions that follow. False if
   * the outbox is full.
   */
  raise(flow: Flow, value: u32 = 0): bool {
    return submitMessage(MESSAGE_EVENT, <u32>changetype<usize>(this), 0, flow, value);
  }
}

@unmanaged
@final
class EventBatch {
  /** Events in this call, 0 … EVENTS_CAPACITY. */
  @inline
  get count(): i32 {
    return load<i32>(changetype<usize>(this), EVENTS_COUNT);
  }

  /** Events that this function should have been told of and was not, since the last call: there was no room. */
  @inline
  get missed(): u32 {
    return load<u32>(changetype<usize>(this), EVENTS_MISSED);
  }

  /** Unchecked: `i` must be below `count`. Valid until nf_events returns. */
  @inline
  at(i: i32): FlowEvent {
    return changetype<FlowEvent>(changetype<usize>(this) + EVENTS_ENTRIES + <usize>i * EVENT_ENTRY_BYTES);
  }
}

@unmanaged
@final
export class FlowEvent {
  /** When it happened, in ns since 1970. */
  @inline
  get time(): u64 {
    return load<u64>(changetype<usize>(this), EVENT_ENTRY_TIME);
  }

  /** Its columns may be read also after its end, as long as no new flow has its number. */
  @inline
  get flow(): Flow {
    return changetype<Flow>(<usize>load<u32>(changetype<usize>(this), EVENT_ENTRY_FLOW));
  }

  /** One bit: EVENT_START …, or the mask of a CustomEvent. */
  @inline
  get kind(): u32 {
    return load<u32>(changetype<usize>(this), EVENT_ENTRY_EVENT);
  }

  /** What was raised with a custom event. */
  @inline
  get value(): u32 {
    return load<u32>(changetype<usize>(this), EVENT_ENTRY_VALUE);
  }

  /** Of the packet that it happened with. */
  @inline
  get direction(): u32 {
    return load<u8>(changetype<usize>(this), EVENT_ENTRY_DIRECTION);
  }
}

/** For nf_events. The manifest must subscribe to an event; otherwise reading this is a fault. */
export const events = changetype<EventBatch>(eventsAddress);
