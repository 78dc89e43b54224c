// Reads what judge-device.ts judges, with ip(8) and ethtool(8), which see the process's own network namespace.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { AfxdpProbe } from "../native.ts";

const execute = promisify(execFile);

export interface DeviceFacts {
  readonly name: string;
  /** Null if there is no such device. */
  readonly link: LinkFacts | null;
  /** "veth", "virtio_net" …; null if the device has none. */
  readonly driver: string | null;
  readonly queues: number;
  /** Features as `ethtool -k` names them that are on. */
  readonly features: ReadonlySet<string>;
  /** Null unless they were tried. */
  readonly probes: readonly AfxdpProbe[] | null;
}

export interface LinkFacts {
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  readonly mtu: number;
  /** Id of the XDP program that is attached, null if none is. */
  readonly program: number | null;
}

interface IpLink {
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly num_rx_queues?: number;
  readonly xdp?: { readonly prog?: { readonly id: number } };
}

export async function collectDevice(
  name: string,
  probe?: (device: string) => readonly AfxdpProbe[],
): Promise<DeviceFacts> {
  const ipLink = await readLink(name);
  if (ipLink === null) return { name, link: null, driver: null, queues: 0, features: new Set(), probes: null };
  const link = {
    isUp: ipLink.flags.includes("UP"),
    hasCarrier: ipLink.flags.includes("LOWER_UP"),
    mtu: ipLink.mtu,
    program: ipLink.xdp === undefined ? null : (ipLink.xdp.prog?.id ?? 0),
  };
  return {
    name,
    link,
    driver: /^driver: (\S+)/m.exec(await ethtool("-i", name))?.[1] ?? null,
    queues: parseQueues(await ethtool("-l", name)) ?? ipLink.num_rx_queues ?? 1,
    features: parseFeatures(await ethtool("-k", name)),
    probes: link.program === null && probe !== undefined ? probe(name) : null,
  };
}

async function readLink(name: string): Promise<IpLink | null> {
  try {
    const { stdout } = await execute("ip", ["-json", "-details", "link", "show", "dev", name]);
    return (JSON.parse(stdout) as IpLink[])[0] ?? null;
  } catch {
    return null;
  }
}

/** Its output, empty where a device does not know the question. */
async function ethtool(...args: readonly string[]): Promise<string> {
  try {
    return (await execute("ethtool", [...args])).stdout;
  } catch {
    return "";
  }
}

/** Receive queues in use, from `ethtool -l`. */
export function parseQueues(text: string): number | null {
  const current = text.split("Current hardware settings:")[1] ?? "";
  const read = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(current)?.[1] ?? 0);
  return read("RX") + read("Combined") || null;
}

/** From `ethtool -k`. */
export function parseFeatures(text: string): Set<string> {
  return new Set([...text.matchAll(/^\s*([\w-]+): on\b/gm)].map((match) => match[1] as string));
}
