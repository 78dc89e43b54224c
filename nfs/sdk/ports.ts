// What the host knows of the chain's ports: addresses, link address, MTU. All of it may change between two batches.

import {
  PORT_ADDRESS4,
  PORT_ADDRESS6,
  PORT_BYTES,
  PORT_FLAGS,
  PORT_FLAG_ROUTED,
  PORT_FLAG_UP,
  PORT_MAC,
  PORT_MTU,
} from "./abi";
import { portsAddress } from "./context";

@inline
function entry(port: u32): usize {
  return portsAddress + <usize>port * PORT_BYTES;
}

/** Frames leave the port by the kernel's routes. Unchecked, as all of these: `port` must be below portCount. */
@inline
export function isRouted(port: u32): bool {
  return (load<u32>(entry(port), PORT_FLAGS) & PORT_FLAG_ROUTED) != 0;
}

/** The device is there and has a carrier. */
@inline
export function isUp(port: u32): bool {
  return (load<u32>(entry(port), PORT_FLAGS) & PORT_FLAG_UP) != 0;
}

/** Bytes from the IP header on that the link takes; 0 if it is not known. */
@inline
export function portMtu(port: u32): u32 {
  return load<u32>(entry(port), PORT_MTU);
}

/** The device's first IPv4 address as a number (10.0.0.1 is 0x0a000001); 0 if it has none. */
@inline
export function portAddress4(port: u32): u32 {
  return load<u32>(entry(port), PORT_ADDRESS4);
}

/** Where the 16 bytes of its first IPv6 address that is not link-local lie; zeros if it has none. */
@inline
export function portAddress6(port: u32): usize {
  return entry(port) + PORT_ADDRESS6;
}

/** Where the 6 bytes of its link address lie. */
@inline
export function portMac(port: u32): usize {
  return entry(port) + PORT_MAC;
}
