// An office with several addresses, a box that routes, the internet's first router, and a host far away with several
// addresses: pairs of addresses, and so lanes, differ. All devices of the box have two queues.
import { createNetwork, type Namespace, type Network } from "../../runtime/testing/network.ts";
import { fetchFrom, greet } from "./greeter.ts";
import { until } from "./until.ts";

export const OFFICE_HOSTS = 8;
export const officeHost = (host: number) => `10.1.0.${host + 2}`;
export const farHost = (host: number) => `198.51.100.${host + 2}`;
/** Which the box forwards to. */
export const officeServer = "10.1.0.80";
export const boxOutside = "203.0.113.1";
export const boxInside = "10.1.0.1";
export const internetRouter = "203.0.113.2";

export interface GatewayBetween {
  readonly network: Network;
  readonly office: Namespace;
  readonly box: Namespace;
  readonly internet: Namespace;
  readonly far: Namespace;
}

/** Everybody has a web server: the box at 22. `knowsOffice`: the internet has a route to the office. */
export async function connectGateway(knowsOffice = false): Promise<GatewayBetween> {
  const network = await createNetwork();
  const [office, box, internet, far] = await Promise.all([
    network.namespace("office"),
    network.namespace("box"),
    network.namespace("internet"),
    network.namespace("far"),
  ]);
  const hosts = Array.from({ length: OFFICE_HOSTS }, (_, host) => host);
  const addresses = (of: (host: number) => string) => hosts.map((host) => `${of(host)}/24`);
  await network.link(
    { namespace: office, device: "eth0", addresses: [...addresses(officeHost), `${officeServer}/24`] },
    { namespace: box, device: "lan0", addresses: [`${boxInside}/24`] },
    { queues: 2 },
  );
  await network.link(
    { namespace: internet, device: "eth0", addresses: [`${internetRouter}/24`] },
    { namespace: box, device: "wan0", addresses: [`${boxOutside}/24`] },
    { queues: 2 },
  );
  await network.link(
    { namespace: far, device: "eth0", addresses: addresses(farHost) },
    { namespace: internet, device: "eth1", addresses: ["198.51.100.1/24"] },
  );
  // Whoever is hidden behind one address would share what the kernel answers to one host.
  for (const namespace of [internet, far]) await namespace.run("sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0");
  await internet.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1");
  const route = (namespace: Namespace, to: string, via: string) => namespace.run("ip", "route", "add", to, "via", via);
  await route(office, "default", boxInside);
  await route(box, "default", internetRouter);
  await route(far, "default", "198.51.100.1");
  if (knowsOffice) await route(internet, "10.1.0.0/24", boxOutside);
  greet(office, "office", 80);
  greet(box, "box", 22);
  greet(far, "far", 80);
  for (const [namespace, port] of [
    [office, 80],
    [box, 22],
    [far, 80],
  ] as const) {
    await until(() => fetchFrom(namespace, `http://127.0.0.1:${port}/`).then(Boolean, () => false));
  }
  return { network, office, box, internet, far };
}

/** curl from one of the addresses that the namespace has. */
export async function fetchAs(namespace: Namespace, address: string, url: string): Promise<string> {
  const patience = ["--max-time", "30", "--connect-timeout", "10"];
  return (await namespace.run("curl", "-sS", "-g", ...patience, "--interface", address, url)).stdout;
}
