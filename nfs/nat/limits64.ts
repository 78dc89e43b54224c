// What holds for packets between the families; settings64.ts reads it. What is not configured is the ports' to say.
import { isRouted, portMtu } from "../sdk";

const USUAL_MTU: u32 = 1500;
/** RFC 8200, section 5. */
export const LEAST_MTU: u32 = 1280;

/** Of `countHops`. */
export const COUNT = 1;
export const BY_PORT = 2;

/** IPv4 packets that may be fragmented are no larger than this when they are IPv6 (RFC 7915, section 4). */
export let lowestMtu: u32 = LEAST_MTU;
/** Of the packet that is looked at: the MTU of the link towards its IPv6 host. */
export let mtu6: u32 = USUAL_MTU;
/** And whether it makes a hop here: not where ports route, which count it themselves. */
export let decrements: bool = true;

let configuredMtu: u32 = 0;
let counting: i32 = BY_PORT;

/** `mtu` is 0 if it is that of the port. */
export function setLimits(mtu: u32, lowest: u32, counts: i32): void {
  configuredMtu = mtu;
  lowestMtu = lowest;
  counting = counts;
}

/** For a packet that came in by a port, and whose IPv6 host is behind that other one. */
export function lookAt(port: u32, hostPort: u32): void {
  decrements = counting == BY_PORT ? !isRouted(port) : counting == COUNT;
  const known = portMtu(hostPort);
  mtu6 = configuredMtu != 0 ? configuredMtu : known == 0 ? USUAL_MTU : max(known, LEAST_MTU);
}
