// What holds for all packets between the families; settings64.ts reads it.

/** MTU of the links towards IPv6 hosts. */
export let mtu6: u32 = 1500;
/** IPv4 packets that may be fragmented are no larger than this when they are IPv6 (RFC 7915, section 4). */
export let lowestMtu: u32 = 1280;
/** Whether a translated packet has made a hop: not where ports route, which count it themselves. */
export let decrements: bool = true;

export function setLimits(mtu: u32, lowest: u32, counts: bool): void {
  mtu6 = mtu;
  lowestMtu = lowest;
  decrements = counts;
}
