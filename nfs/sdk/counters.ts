// Numbers that the host exports. Declared at the module's top level or in nf_configure, changed by plain stores.

import { COUNTER_BYTES, COUNTER_KIND_COUNTER, COUNTER_KIND_GAUGE } from "./abi";
import { countersAddress } from "./context";
import { declareCounter } from "./imports";

function declare(name: string, labels: string, kind: i32): usize {
  return countersAddress + <usize>declareCounter(name, labels, kind) * COUNTER_BYTES;
}

/** A count that only grows: frames, bytes, hits. `labels` is `key=value`, or empty. */
@unmanaged
@final
export class Counter {
  constructor(name: string, labels: string = "") {
    return changetype<Counter>(declare(name, labels, COUNTER_KIND_COUNTER));
  }

  @inline
  get value(): u64 {
    return load<u64>(changetype<usize>(this));
  }

  @inline
  add(amount: u64 = 1): void {
    store<u64>(changetype<usize>(this), load<u64>(changetype<usize>(this)) + amount);
  }
}

/** A level that rises and falls: entries in a table, free buffers. */
@unmanaged
@final
export class Gauge {
  constructor(name: string, labels: string = "") {
    return changetype<Gauge>(declare(name, labels, COUNTER_KIND_GAUGE));
  }

  @inline
  get value(): u64 {
    return load<u64>(changetype<usize>(this));
  }

  @inline
  set value(level: u64) {
    store<u64>(changetype<usize>(this), level);
  }

  @inline
  add(amount: u64 = 1): void {
    this.value = this.value + amount;
  }

  @inline
  subtract(amount: u64 = 1): void {
    this.value = this.value - amount;
  }
}

/** Counters of one name that differ in their labels, by index: `new CounterArray("hits", ["rule=1", "rule=2"])`. */
@unmanaged
@final
export class CounterArray {
  // The addresses, u32 each. They need not be neighbours: the host remembers counters of earlier configurations.
  constructor(name: string, labels: string[]) {
    const addresses = heap.alloc((<usize>labels.length) << 2);
    for (let i = 0; i < labels.length; i++) {
      store<u32>(addresses + ((<usize>i) << 2), declare(name, labels[i], COUNTER_KIND_COUNTER));
    }
    return changetype<CounterArray>(addresses);
  }

  /** Unchecked: `index` must be below the number of labels. */
  @inline
  at(index: u32): Counter {
    return changetype<Counter>(<usize>load<u32>(changetype<usize>(this) + ((<usize>index) << 2)));
  }

  /** Unchecked: `index` must be below the number of labels. */
  @inline
  add(index: u32, amount: u64 = 1): void {
    this.at(index).add(amount);
  }
}
