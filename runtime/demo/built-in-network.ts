// The demonstration's network: an office and an internet that only the engine joins.
//
//   office  10.77.0.2 ── veth ── lan0 │ box │ wan0 ── veth ── 10.77.0.1  internet
//           fd77::2                   engine                  fd77::1    nginx, iperf3
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetwork, type Namespace, type Network } from "../testing/network.ts";
import { until } from "./until.ts";

export const SERVER = { ipv4: "10.77.0.1", ipv6: "fd77::1" } as const;
/** nginx listens on both; the chain's access list denies the second. */
export const PERMITTED_PORT = 80;
export const DENIED_PORT = 8080;
export const DOWNLOAD = "download.bin";
const DOWNLOAD_BYTES = 16 << 20;

export interface BuiltInNetwork {
  readonly office: Namespace;
  readonly internet: Namespace;
  /** Where the engine runs: it has lan0 and wan0, no addresses, and the kernel forwards nothing. */
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
    await startServices(spaces.internet, folder);
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
    { namespace: office, device: "eth0", addresses: ["10.77.0.2/24", "fd77::2/64"] },
    { namespace: box, device: "lan0" },
  );
  await network.link(
    { namespace: internet, device: "eth0", addresses: [`${SERVER.ipv4}/24`, `${SERVER.ipv6}/64`] },
    { namespace: box, device: "wan0" },
  );
  return { office, internet, box };
}

async function startServices(internet: Namespace, folder: string): Promise<void> {
  const file = join(folder, "nginx.conf");
  writeFileSync(file, nginxConfiguration(folder));
  internet.spawn("nginx", ["-e", join(folder, "error.log"), "-c", file], { stdio: "ignore" });
  internet.spawn("iperf3", ["--server"], { stdio: "ignore" });
  for (const port of [PERMITTED_PORT, DENIED_PORT]) {
    await until(`nginx answers on port ${port}`, async () => {
      await internet.run("curl", "-sf", "-o", "/dev/null", "-r", "0-0", `http://${SERVER.ipv4}:${port}/${DOWNLOAD}`);
    });
  }
}

function nginxConfiguration(folder: string): string {
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
  server { ${listen.join(" ")} root ${folder}; }
}
`;
}

/** Background traffic for the live view; ends with the network. */
export function keepTalking(office: Namespace): void {
  office.spawn("ping", ["-q", "-i", "0.5", SERVER.ipv4], { stdio: "ignore" });
  office.spawn("ping", ["-q", "-i", "0.5", SERVER.ipv6], { stdio: "ignore" });
}

/** SHA-256 of a download from the office, in hex. */
export async function download(office: Namespace, host: string): Promise<string> {
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${PERMITTED_PORT}/${DOWNLOAD}`;
  const child = office.spawn("curl", ["-sf", "--max-time", "30", url], { stdio: ["ignore", "pipe", "ignore"] });
  const hash = createHash("sha256");
  child.stdout?.on("data", (chunk: Buffer) => hash.update(chunk));
  await once(child, "close");
  return hash.digest("hex");
}
