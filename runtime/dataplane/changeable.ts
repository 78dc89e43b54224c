// What a chain must be to run on devices, and what of it stays as it is while it runs.
import { countLanes, type Plan } from "../chain/plan.ts";
import { SluiceError } from "../errors.ts";

/** native/src/handover.h */
const LANES_MAX = 16;

/** Throws usage for a port that a lane on devices cannot have. */
export function requireDevices(ports: Plan["ports"], lanes = countLanes({ ports })): void {
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

/** What belongs to the lane for as long as it lives cannot be changed by a generation. */
export function requireChangeable(before: Plan, after: Plan): void {
  const refuse = (where: string, what: string) => {
    const help = "stop the chain and start it again";
    throw new SluiceError({ code: "change-refused", where, what, help });
  };
  const kept = before.ports.length;
  const portsOf = (plan: Plan) => JSON.stringify(plan.ports.slice(0, kept).map(({ zone: _, ...port }) => port));
  if (portsOf(before) !== portsOf(after))
    refuse("ports", "a running chain keeps its ports as they are; it may get more");
  requireDevices(after.ports.slice(kept), countLanes(before));
  const fixed = ({ flows: { capacity, streams, fragments, overlap } }: Plan) =>
    JSON.stringify({ capacity, streams, fragments, overlap });
  if (fixed(before) !== fixed(after)) {
    refuse("flows", "a running chain keeps capacity, streams, fragments and overlap of its flow table");
  }
  if (before.whenDown !== after.whenDown) refuse("whenDown", "a running chain keeps what happens when it is down");
}
