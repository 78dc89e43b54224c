// Where frames leave, by name.
import { PORT_ROUTE } from "./layout.ts";

/** Where a frame left or was to leave; null if there is no such port. */
export function exitName(ports: readonly { readonly name: string }[], port: number): string | null {
  return port === PORT_ROUTE ? "route" : (ports[port]?.name ?? null);
}
