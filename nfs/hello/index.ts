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
  // Sums in locals cost less than counters, which are memory.
  let four: u64 = 0;
  let six: u64 = 0;
  let length: u64 = 0;
  for (let i = 0; i < batch.count; i++) {
    const record = batch.record(i);
    if (record.ipVersion == 4) four++;
    else if (record.ipVersion == 6) six++;
    length += record.wireLength;
  }
  ipv4.add(four);
  ipv6.add(six);
  others.add(batch.count - four - six);
  bytes.add(length);
}
