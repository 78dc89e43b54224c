// Per-flow fields: one value per flow, of one owner, read by whoever declares it.

import { Flow } from "./flow";
import { findColumn, openColumn } from "./imports";

/**
 * Declared in the manifest, under `writes` by its owner and under `reads` by others, and opened at the module's top level
 * or in nf_configure: `const port = new Column<u16>("nat.port");` T must have the declared type's size. All values are 0
 * when a flow begins.
 */
@unmanaged
@final
export class Column<T> {
  constructor(name: string) {
    return changetype<Column<T>>(openColumn(name, sizeof<T>()));
  }

  /** One that the manifest calls optional; null if no function of the chain writes it. */
  static find<T>(name: string): Column<T> | null {
    const address = findColumn(name, sizeof<T>());
    return address == 0 ? null : changetype<Column<T>>(address);
  }

  @inline
  get(flow: Flow): T {
    return load<T>(changetype<usize>(this) + changetype<usize>(flow) * sizeof<T>());
  }

  /** For the owner only: to all others it is a fault. */
  @inline
  set(flow: Flow, value: T): void {
    store<T>(changetype<usize>(this) + changetype<usize>(flow) * sizeof<T>(), value);
  }
}
