// How other processes say which drops a running engine is to report.
import { join } from "node:path";
import type { Engine } from "../dataplane/engine/engine.ts";
import type { DropSampling } from "../dataplane/reports.ts";
import { SluiceError } from "../errors.ts";
import { ask, LineServer } from "./line-socket.ts";

const SOCKET = "telemetry.sock";

const MOST = 0xffff_ffff;

export function listenForSampling(engine: Pick<Engine, "folder" | "sampleDrops">): Promise<LineServer<DropSampling>> {
  return LineServer.listen(join(engine.folder, SOCKET), async ({ sample, perSecond }: DropSampling) => {
    for (const [key, value] of Object.entries({ sample, perSecond })) {
      if (Number.isInteger(value) && value >= 0 && value <= MOST) continue;
      throw new SluiceError({ code: "usage", where: `drops.${key}`, what: `${value} is no number from 0 to ${MOST}` });
    }
    engine.sampleDrops({ sample, perSecond });
  });
}

/** Asks the engine that has this state folder. Throws what the engine says, or not-running. */
export async function requestSampling(folder: string, sampling: DropSampling): Promise<void> {
  await ask<DropSampling, null>(join(folder, SOCKET), sampling);
}
