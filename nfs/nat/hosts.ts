// Inside hosts: what they have is counted, and with paired pooling they keep their outside address.
import { hold, release } from "./addresses";
import { bucketOf, Host, hostAt, hostBuckets, hosts, unlink } from "./store";

/** Reference of the host's entry, made if there is none; 0 if there is no room. */
export function holdHost(address: u32): u32 {
  const bucket = bucketOf(hostBuckets, address, 0);
  let reference = load<u32>(bucket);
  while (reference != 0 && hostAt(reference).address != address) reference = hostAt(reference).next;
  if (reference != 0) return reference;
  reference = hosts.take();
  if (reference == 0) return 0;
  const host = hostAt(reference);
  host.address = hold(address);
  host.next = load<u32>(bucket);
  store<u32>(bucket, reference);
  return reference;
}

/** Forgets a host that has nothing. */
export function releaseHost(reference: u32): void {
  const host = hostAt(reference);
  if (host.mappings + host.sessions > 0) return;
  unlink(bucketOf(hostBuckets, host.address, 0), reference, offsetof<Host>("next"));
  release(host.address);
  hosts.give(reference);
}
