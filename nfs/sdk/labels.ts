// Named marks on flows: a path's `match` can ask for them, so that a flow takes another way from then on.

import { MESSAGE_LABEL } from "./abi";
import { Flow } from "./flow";
import { findLabel } from "./imports";
import { submitMessage } from "./outbox";
import { Record } from "./record";

/** Listed in the manifest's `labels`: `const suspect = new Label("suspect");` */
@unmanaged
@final
export class Label {
  constructor(name: string) {
    return changetype<Label>(<usize>findLabel(name));
  }

  /** Its bit in `packet.labels` and `flow.labels`. */
  @inline
  get mask(): u32 {
    return <u32>changetype<usize>(this);
  }

  /** Whether the packet's flow had it when the packet came, or was given it for an earlier packet of this batch. */
  @inline
  isOn(record: Record): bool {
    return (record.labels & this.mask) != 0;
  }

  /** False if the outbox is full. */
  set(flow: Flow): bool {
    return submitMessage(MESSAGE_LABEL, 1, 0, flow, this.mask);
  }

  /** False if the outbox is full. */
  clear(flow: Flow): bool {
    return submitMessage(MESSAGE_LABEL, 0, 0, flow, this.mask);
  }
}
