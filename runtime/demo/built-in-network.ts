// The demonstration's network: an office and an internet that only the box joins. The internet does not know the office's
// IPv4 addresses.
//
//   office  10.1.0.2         ── veth ── 10.1.0.1         lan0 │ box │ wan0  203.0.113.1  ── veth ── 203.0.113.2  internet
//           2001:db8:1::2               2001:db8:1::1         engine        2001:db8::1             2001:db8::2  nginx, iperf3
//   server  10.1.0.80, nginx                                                (:8080 is forwarded to the server)
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetwork, type Namespace, type Network } from "../testing/network.ts";
import { until } from "./until.ts";

export const SERVER = { ipv4: "203.0.113.2", ipv6: "2001:db8::2" } as const;
/** The box's address outside, and the port that it forwards to the office's own server. */
export const FORWARDED = { address: "203.0.113.1", port: 8080 } as const;
const OFFICE_SERVER = "10.1.0.80";
/** nginx listens on both; the chain's firewall rejects the second. */
export const PERMITTED_PORT = 80;
export const DENIED_PORT = 8443;
export const DOWNLOAD = "download.bin";
const DOWNLOAD_BYTES = 16 << 20;

export interface BuiltInNetwork {
  readonly office: Namespace;
  readonly internet: Namespace;
  /** Where the engine runs: it has lan0 and wan0 with their addresses, and the kernel forwards nothing. */
  readonly box: Namespace;
  /** SHA-256 of the file that nginx serves, in hex. */
  readonly downloadHash: string;
  close(): Promise<void>;
}

export async function buildNetwork(): Promise<BuiltInNetwork> {
  const network = await createNetwork();
  const folder = mkdtempSync(join(tmpdir(), "sluice-web-"));
  const close = async () => {
    await network.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const spaces = await joinSpaces(network);
    const content = randomBytes(DOWNLOAD_BYTES);
    writeFileSync(join(folder, DOWNLOAD), content);
    await startServices(spaces, folder);
    return { ...spaces, downloadHash: createHash("sha256").update(content).digest("hex"), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function joinSpaces(network: Network): Promise<Pick<BuiltInNetwork, "office" | "internet" | "box">> {
  const office = await network.namespace("office");
  const internet = await network.namespace("internet");
  const box = await network.namespace("box");
  await network.link(
    { namespace: office, device: "eth0", addresses: ["10.1.0.2/24", `${OFFICE_SERVER}/24`, "2001:db8:1::2/64"] },
    { namespace: box, device: "lan0", addresses: ["10.1.0.1/24", "2001:db8:1::1/64"] },
  );
  await network.link(
    { namespace: internet, device: "eth0", addresses: [`${SERVER.ipv4}/24`, `${SERVER.ipv6}/64`] },
    { namespace: box, device: "wan0", addresses: [`${FORWARDED.address}/24`, "2001:db8::1/64"] },
  );
  await office.run("ip", "route", "add", "default", "via", "10.1.0.1");
  await office.run("ip", "route", "add", "default", "via", "2001:db8:1::1");
  await internet.run("ip", "route", "add", "2001:db8:1::/64", "via", "2001:db8::1");
  return { office, internet, box };
}

async function startServices({ internet, office }: Pick<BuiltInNetwork, "internet" | "office">, folder: string) {
  startWebServer(internet, folder, "internet");
  startWebServer(office, folder, "office");
  internet.spawn("iperf3", ["--server"], { stdio: "ignore" });
  const servers = [
    { namespace: internet, host: SERVER.ipv4, port: PERMITTED_PORT },
    { namespace: internet, host: SERVER.ipv4, port: DENIED_PORT },
    { namespace: office, host: OFFICE_SERVER, port: PERMITTED_PORT },
  ];
  for (const { namespace, host, port } of servers) {
    await until(`nginx answers at ${host}:${port}`, async () => {
      await namespace.run("curl", "-sf", "-o", "/dev/null", "-r", "0-0", `http://${host}:${port}/${DOWNLOAD}`);
    });
  }
}

function startWebServer(namespace: Namespace, documents: string, name: string): void {
  const folder = join(documents, name);
  mkdirSync(folder);
  const file = join(folder, "nginx.conf");
  writeFileSync(file, nginxConfiguration(folder, documents));
  namespace.spawn("nginx", ["-e", join(folder, "error.log"), "-c", file], { stdio: "ignore" });
}

function nginxConfiguration(folder: string, documents: string): string {
  const listen = [PERMITTED_PORT, DENIED_PORT].flatMap((port) => [`listen ${port};`, `listen [::]:${port};`]);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  return `daemon off;
user root;
worker_processes 1;
pid ${join(folder, "nginx.pid")};
events { worker_connections 256; }
http {
  access_log off;
  ${temporary.join("\n  ")}
  server { ${listen.join(" ")} root ${documents}; }
}
`;
}

/** Background traffic for the live view; ends with the network. */
export function keepTalking(office: Namespace): void {
  office.spawn("ping", ["-q", "-i", "0.5", SERVER.ipv4], { stdio: "ignore" });
  office.spawn("ping", ["-q", "-i", "0.5", SERVER.ipv6], { stdio: "ignore" });
}

/** SHA-256 of a download, in hex. */
export async function download(client: Namespace, host: string, port: number = PERMITTED_PORT): Promise<string> {
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}/${DOWNLOAD}`;
  const child = client.spawn("curl", ["-sf", "--max-time", "30", url], { stdio: ["ignore", "pipe", "ignore"] });
  const hash = createHash("sha256");
  child.stdout?.on("data", (chunk: Buffer) => hash.update(chunk));
  await once(child, "close");
  return hash.digest("hex");
}
