// Which ports of an outside address are this lane's to give. Lanes know nothing of each other's: each has every so many
// in a row, and what comes for one of them comes to its lane if the chain spreads flows by hosts.
import { lane, laneCount, lanePorts } from "../sdk";

/** Words of 64 ports in a row. */
const WORDS: u32 = max<u32>(lanePorts, 64) >> 6;

@inline
export function isOwnWord(word: u32): bool {
  return laneCount == 1 || (word / WORDS) % laneCount == lane;
}

/** Whether another lane has the mapping of that port, if there is one, and gets what is sent there. */
export function isOfOtherLane(port: u32): bool {
  return lanePorts != 0 && !isOwnWord(port >> 6);
}

/** Of blocks that are one lane's: all of their ports are in a row of it. */
export function fitsLane(blockSize: u32): bool {
  return laneCount == 1 || blockSize <= WORDS << 6;
}
