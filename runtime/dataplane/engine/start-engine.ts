// Starts a chain: claims its state folder and opens its lanes with a first generation.
import { countLanes } from "../../chain/plan.ts";
import { loadAddon } from "../load-addon.ts";
import { ReportNamesFile } from "../report-names.ts";
import { StateFolder } from "../state-folder.ts";
import { Engine } from "./engine.ts";
import { makeSeat } from "./engine-lane.ts";
import { GenerationThreads } from "./generation-threads.ts";
import { chainOf, type EngineSetup, sharedOf } from "./setup.ts";
import { listStaying } from "./staying-state.ts";

/** By how many lanes' tables detours have room for: each flow has one at the most, and lanes may become more. */
const DETOURS_PER_FLOW = 2;

/** Throws chain-running, device-missing, not-permitted … with everything undone. */
export async function startEngine(setup: EngineSetup): Promise<Engine> {
  const folder = StateFolder.claim(setup.plan.chain, (dead) => listStaying(setup, dead));
  const lanes = countLanes(setup.plan);
  const { capacity, spread = null } = setup.plan.flows;
  const handover = loadAddon().makeHandover(lanes, DETOURS_PER_FLOW * capacity, spread);
  const shared = sharedOf(setup, folder.path, handover.id);
  const names = new ReportNamesFile(folder.path);
  const inherited = { before: setup.resume ?? folder.dead ?? undefined, keeper: setup.supervisor?.keeper };
  const seats = Array.from({ length: lanes }, (_, lane) => makeSeat(lane));
  try {
    const first = await GenerationThreads.open(
      { ...shared, lanes, ...chainOf(setup), ...inherited, generation: 1, reportNames: names.next(), quarantined: [] },
      seats,
      setup,
    );
    return new Engine(setup, folder, { shared, first, names, seats, handover });
  } catch (error) {
    // What a dead engine left may be of use to the next attempt.
    if (folder.dead === null) folder.remove();
    throw error;
  }
}
