// Inside hosts: what they have is counted, and with paired pooling they keep their outside address.
import { bucketOf, Host, host6Buckets, hostAt, hostBuckets, hosts, unlink } from "./store";

/** Reference of the host's entry, made if there is none; 0 if there is no room. */
export function holdHost(address: u32): u32 {
  const bucket = bucketOf(hostBuckets, address, 0);
  let reference = load<u32>(bucket);
  while (reference != 0 && hostAt(reference).address != address) reference = hostAt(reference).next;
  if (reference != 0) return reference;
  reference = hosts.take();
  if (reference == 0) return 0;
  const host = hostAt(reference);
  host.address = address;
  host.next = load<u32>(bucket);
  store<u32>(bucket, reference);
  return reference;
}

/** The same for an IPv6 host. */
export function holdHost6(high: u64, low: u64): u32 {
  const bucket = bucketOf(host6Buckets, high, low);
  let reference = load<u32>(bucket);
  while (reference != 0 && (hostAt(reference).high != high || hostAt(reference).low != low)) {
    reference = hostAt(reference).next;
  }
  if (reference != 0) return reference;
  reference = hosts.take();
  if (reference == 0) return 0;
  const host = hostAt(reference);
  host.high = high;
  host.low = low;
  host.next = load<u32>(bucket);
  store<u32>(bucket, reference);
  return reference;
}

@inline
function bucketFor(host: Host): usize {
  const isIpv6 = (host.high | host.low) != 0;
  return isIpv6 ? bucketOf(host6Buckets, host.high, host.low) : bucketOf(hostBuckets, host.address, 0);
}

/** Forgets a host that has nothing. */
export function releaseHost(reference: u32): void {
  const host = hostAt(reference);
  if (host.mappings + host.sessions > 0) return;
  unlink(bucketFor(host), reference, offsetof<Host>("next"));
  hosts.give(reference);
}
