// Which addresses devices have themselves: for those the kernel answers, or nobody is meant to.
import { networkInterfaces } from "node:os";
import type { Plan } from "../chain/plan.ts";
import { overlaps, type Prefix, parsePrefix } from "../chain/protocols.ts";
import { SluiceError } from "../errors.ts";

/** Throws answers-conflict for a port that answers for an address of the chain's devices. */
export function requireForeign(ports: Plan["ports"], devices = networkInterfaces()): void {
  for (const { name, answersFor } of ports) {
    for (const { device } of ports) {
      const own = (devices[device] ?? []).find(({ address }) => answersFor.some((each) => holds(each, address)));
      if (own === undefined) continue;
      throw new SluiceError({
        code: "answers-conflict",
        where: `ports.${name}.answersFor`,
        what: `${own.address} is an address of the device ${device} itself`,
        help: "take it from the device, or let the port not answer for it",
      });
    }
  }
}

function holds(prefix: Prefix, address: string): boolean {
  const single = parsePrefix(address);
  return single !== undefined && overlaps(prefix, single);
}
