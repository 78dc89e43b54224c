// What `sluice upgrade status` says of a shadow.
import { DIFFERENCE_FLOWS } from "../dataplane/layout.ts";
import type { DifferenceStatus, ShadowStatus } from "../generation/shadow-watch.ts";

/** One line each, indented by what they belong to. */
export function describeShadow(shadow: ShadowStatus): string[] {
  const { state, why, frames, compared, differing, skipped, missed, dropped, faults, nsPerPacket, conditions } = shadow;
  const time = nsPerPacket === null ? "" : `, ${nsPerPacket.toFixed(0)} ns per packet`;
  return [
    `shadow: ${state}${why === null ? "" : ` (${why})`}`,
    `  ${compared} of ${frames} frames compared, ${differing} differ; ${skipped} not comparable, ${missed} missed`,
    `  ${dropped} dropped, ${faults} faults${time}`,
    `  traffic paused for ${shadow.pauseUs.toFixed(0)} µs while ${shadow.copiedBytes} bytes of state were copied`,
    ...(conditions.length === 0 ? [] : [`  aborts on ${conditions.join(", ")}`]),
    ...shadow.differences.flatMap((difference) => describeDifference(difference).map((line) => `  ${line}`)),
  ];
}

function describeDifference({ live, next, rewrite, frames, flows, examples }: DifferenceStatus): string[] {
  const where = rewrite === null ? "" : ` with another ${rewrite === "length" ? rewrite : `${rewrite} part`}`;
  const many = flows === DIFFERENCE_FLOWS ? "at least " : "";
  return [
    `live ${live}, next ${next}${where}: ${count(frames, "frame")} of ${many}${count(flows, "flow")}`,
    ...examples.flatMap(({ number, flow, packet, live: before, next: after }) => [
      `  frame ${number} of ${flow}: ${packet}`,
      ...(before === undefined ? [] : [`    live ${before}`, `    next ${after}`]),
    ]),
  ];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
