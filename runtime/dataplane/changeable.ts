// What a chain must be to run on devices, and what of it stays as it is while it runs.
import { countLanes, type Plan } from "../chain/plan.ts";
import { SluiceError } from "../errors.ts";
import { requireForeign } from "./own-addresses.ts";

/** native/src/handover.h */
const LANES_MAX = 16;

/** Throws usage for a port that a lane on devices cannot have. */
export function requireDevices(ports: Plan["ports"], lanes = countLanes({ ports })): void {
  requireForeign(ports);
  for (const { name, driver, queues } of ports) {
    const where = `ports.${name}`;
    if (driver !== "afxdp") {
      const help = "use the driver afxdp, or `sluice replay`";
      throw new SluiceError({ code: "usage", where, what: `the driver ${driver} has no device to run on`, help });
    }
    if (queues.length !== lanes) {
      const what = `it has ${queues.length} queues and the chain ${lanes} lanes`;
      const help = "each lane has one queue of every port: name as many queues at each";
      throw new SluiceError({ code: "usage", where: `${where}.queues`, what, help });
    }
    if (lanes > LANES_MAX) {
      const what = `a chain has ${LANES_MAX} lanes at the most, and this one would have ${lanes}`;
      throw new SluiceError({ code: "usage", where: `${where}.queues`, what });
    }
  }
}

/** What belongs to a lane for as long as it lives cannot be changed by a generation. */
export function requireChangeable(before: Plan, after: Plan): void {
  const kept = before.ports.length;
  const portsOf = (plan: Plan) => JSON.stringify(plan.ports.slice(0, kept).map(describePort));
  if (portsOf(before) !== portsOf(after)) {
    refuse("ports", "a running chain keeps its ports as they are but for their queues; it may get more");
  }
  requireDevices(after.ports.slice(kept), countLanes(after));
  requireDevices(after.ports);
  const fixed = ({ flows: { capacity, streams, fragments, overlap } }: Plan) =>
    JSON.stringify({ capacity, streams, fragments, overlap });
  if (fixed(before) !== fixed(after)) {
    refuse("flows", "a running chain keeps capacity, streams, fragments and overlap of its flow table");
  }
  if (before.whenDown !== after.whenDown) refuse("whenDown", "a running chain keeps what happens when it is down");
  requireQueues(before, after);
}

function describePort({ zone: _, queues: __, answersFor: ___, ...port }: Plan["ports"][number]): object {
  return port;
}

/** A lane keeps its queues; lanes come and go at the end, and then nothing else changes. */
function requireQueues(before: Plan, after: Plan): void {
  const lanes = Math.min(countLanes(before), countLanes(after));
  for (const [index, { name, queues }] of before.ports.entries()) {
    const next = after.ports[index]?.queues ?? [];
    if (queues.slice(0, lanes).join() === next.slice(0, lanes).join()) continue;
    refuse(`ports.${name}.queues`, "a lane keeps its queue: more are added, and fewer are left out, at the end");
  }
  if (countLanes(before) === countLanes(after)) return;
  const rest = ({ ports, ...plan }: Plan) => JSON.stringify([plan, ports.map(describePort)]);
  const help = "change the lanes first, and the rest when that is committed";
  if (rest(before) !== rest(after)) refuse("ports", "the number of lanes is changed by itself alone", help);
  if (after.functions.some(({ stream }) => stream)) {
    refuse("ports", "payload that a lane has put in order is no other lane's, and a function of the chain reads it");
  }
}

function refuse(where: string, what: string, help = "stop the chain and start it again"): never {
  throw new SluiceError({ code: "change-refused", where, what, help });
}
