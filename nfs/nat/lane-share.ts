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

/** Whether every lane has ports from `low` to `high`, odd ones and even ones. */
export function isForAllLanes(low: u32, high: u32): bool {
  // It is their turn one after the other. A row of which one port is among them does not count.
  return laneCount == 1 || ((high - 1) >> 6) / WORDS - ((low + 1) >> 6) / WORDS + 1 >= laneCount;
}

/** What isForAllLanes asks for, to be said to the user. */
export function describeNeed(): string {
  const row = WORDS << 6;
  const each = laneCount.toString() + " lanes with " + row.toString() + " in a row each";
  return each + " (flows.spread.portsInTurn of the chain) need " + (row * laneCount).toString() + " ports";
}

/** Of blocks that are one lane's: all of their ports are in a row of it. */
export function fitsLane(blockSize: u32): bool {
  return laneCount == 1 || blockSize <= WORDS << 6;
}
