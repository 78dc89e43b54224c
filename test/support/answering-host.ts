// A host that says yes and runs nothing: for what control does before there are packets.
import { join } from "node:path";
import { SluiceError } from "../../runtime/errors.ts";
import type { HostedStatus, HostRequest } from "../../runtime/generation/host-socket.ts";
import { LineServer } from "../../runtime/generation/line-socket.ts";

export interface AnsweringHost {
  /** What it was told to run. */
  readonly hosted: ReadonlyMap<string, HostedStatus>;
  /** Until it is called again with null, every start is refused with that. */
  refuse(error: SluiceError | null): void;
  close(): void;
}

export async function startAnsweringHost(stateFolder: string): Promise<AnsweringHost> {
  const hosted = new Map<string, HostedStatus>();
  let refusal: SluiceError | null = null;
  const answer = async (request: HostRequest) => {
    if (request.step === "list") return [...hosted.values()];
    if (request.step === "identify") return { pid: process.pid };
    const { step, chain } = request;
    if (step === "run") {
      if (refusal !== null) throw refusal;
      const { file, functions } = request;
      const status = { state: "running", folder: null, enginePid: 0, confirmUntil: null, faults: [] } as const;
      hosted.set(chain, { chain, file, functions, ...status });
    }
    const found = hosted.get(chain);
    if (found === undefined) throw new SluiceError({ code: "not-running", where: chain, what: "it is not hosted" });
    if (step === "stop") hosted.delete(chain);
    return found;
  };
  const server = await LineServer.listen(join(stateFolder, "host.sock"), answer);
  return {
    hosted,
    refuse: (error) => {
      refusal = error;
    },
    close: () => server.close(),
  };
}
