// Web servers that say who they are and who asked, and how they are asked.
import type { Namespace } from "../../runtime/testing/network.ts";

/** `/slow` takes four seconds, `/large` has 200 000 bytes. */
const program = `
const [name, ...ports] = process.argv.slice(1);
function answer(request, response) {
  if (request.url === "/large") return response.end("x".repeat(200000));
  if (request.url !== "/slow") return response.end(name + " " + request.socket.remoteAddress);
  let lines = 0;
  const timer = setInterval(() => {
    response.write("line\\n");
    if (++lines === 40) clearInterval(timer), response.end();
  }, 100);
}
for (const port of ports) require("node:http").createServer(answer).listen(Number(port), "::");`;

export const greet = (namespace: Namespace, name: string, ...ports: number[]) =>
  namespace.spawn(process.execPath, ["-e", program, name, ...ports.map(String)], { stdio: "ignore" });

export const fetchFrom = async (namespace: Namespace, url: string) =>
  (await namespace.run("curl", "-sS", "-g", "--max-time", "20", "--connect-timeout", "5", url)).stdout;
