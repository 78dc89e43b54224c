// Counts the packets of each address family and lets every packet go its way.

import { batch, Config, Counter } from "../sdk";
export { nf_abi } from "../sdk/exports";

const ipv4 = new Counter("packets", "family=ipv4");
const ipv6 = new Counter("packets", "family=ipv6");
const others = new Counter("packets", "family=other");
const bytes = new Counter("bytes");

/** Called once, before the first packet. The only time to allocate, to declare and to complain. */
export function nf_configure(json: string): bool {
  return Config.parse(json).accepted();
}

/** Called once per batch. Packets without a verdict go to the next hop. */
export function nf_process(): void {
  for (let i = 0; i < batch.count; i++) {
    const packet = batch.packet(i);
    if (packet.ipVersion == 4) ipv4.add();
    else if (packet.ipVersion == 6) ipv6.add();
    else others.add();
    bytes.add(packet.wireLength);
  }
}
