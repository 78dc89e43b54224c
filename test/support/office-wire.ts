// An office, a box that bridges and translates, a router and a server on the internet; nobody is told a link address.
//
//   host   10.0.0.5, fd01:203:405::5  ─┐
//   silent 10.0.0.80, 10.1.0.1        ─┴─ switch ── lan0 box wan0 ── eth0 router eth1 ── server 198.51.100.1
//                                            chains/nat.yaml         203.0.113.254,               2001:db8:99::1
//                                                                    10.0.0.254, 2001:db8:ffff::1
import { createNetwork, type Namespace, type Network } from "../../runtime/testing/network.ts";

export interface OfficeWire {
  readonly network: Network;
  readonly host: Namespace;
  readonly silent: Namespace;
  readonly box: Namespace;
  readonly router: Namespace;
  readonly server: Namespace;
}

export async function createOfficeWire(): Promise<OfficeWire> {
  const network = await createNetwork();
  const labels = ["host", "silent", "switch", "box", "router", "server"];
  const all = await Promise.all(labels.map((label) => network.namespace(label)));
  const [host, silent, hub, box, router, server] = all as Six;
  const office = (namespace: Namespace, port: string, addresses: readonly string[]) =>
    network.link({ namespace, device: "eth0", addresses }, { namespace: hub, device: port });
  await office(host, "host", ["10.0.0.5/24", "fd01:203:405::5/64"]);
  await office(silent, "silent", ["10.0.0.80/24", "10.1.0.1/24"]);
  await network.link({ namespace: hub, device: "box" }, { namespace: box, device: "lan0" });
  await network.link(
    {
      namespace: router,
      device: "eth0",
      addresses: ["203.0.113.254/24", "10.0.0.254/24", "2001:db8:ffff::1/64", "fe80::1/64"],
    },
    { namespace: box, device: "wan0" },
  );
  await network.link(
    { namespace: router, device: "eth1", addresses: ["198.51.100.254/24", "2001:db8:99::ff/64"] },
    { namespace: server, device: "eth0", addresses: ["198.51.100.1/24", "2001:db8:99::1/64"] },
  );
  await joinPorts(hub, ["host", "silent", "box"]);
  for (const setting of ["ipv4.ip_forward", "ipv6.conf.all.forwarding"])
    await router.run("sysctl", "-qw", `net.${setting}=1`);
  await router.run("ip", "route", "add", "2001:db8:1::/48", "dev", "eth0");
  for (const inside of [host, silent]) await inside.run("ip", "route", "add", "default", "via", "10.0.0.254");
  await host.run("ip", "route", "add", "default", "via", "fe80::1", "dev", "eth0");
  await server.run("ip", "route", "add", "default", "via", "198.51.100.254");
  await server.run("ip", "route", "add", "default", "via", "2001:db8:99::ff");
  return { network, host, silent, box, router, server };
}

type Six = [Namespace, Namespace, Namespace, Namespace, Namespace, Namespace];

async function joinPorts(hub: Namespace, ports: readonly string[]): Promise<void> {
  await hub.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0");
  await hub.run("sysctl", "-qw", "net.ipv6.conf.br0.disable_ipv6=1");
  for (const port of ports) await hub.run("ip", "link", "set", port, "master", "br0");
  await hub.run("ip", "link", "set", "br0", "up");
}
