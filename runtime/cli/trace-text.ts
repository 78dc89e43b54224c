// A traced packet for people: what came, a row per hop, what became of it.
import { formatEnding } from "../dataplane/observe/endings.ts";
import type { FlowView, TracedEnding, TracedHop, TracedPacket } from "../dataplane/observe/trace-events.ts";
import { nameFlow } from "../generation/flow-name.ts";
import { formatPacket } from "../testing/packet-text.ts";
import { formatTable, paint } from "./output.ts";

export function formatTraced(packet: TracedPacket): string[] {
  const { n, number, port, received, hops, end } = packet;
  const which = number === null ? "given" : `frame ${number}`;
  const head = paint("bold", `${n}. ${which}, in at ${port}, ${formatTime(packet.timeNs)}`);
  return [
    head,
    `   ${textOf(received)}`,
    ...formatFlow(packet),
    ...(hops.length === 0 ? ["   no function had it"] : formatHops(hops)),
    ...hops.flatMap(formatDetails),
    `   ${paint(end.kind === "forward" ? "green" : "yellow", formatEnd(end))}${formatLive(packet)}`,
    ...(end.bytes === null || end.bytes === received ? [] : [`   as ${textOf(end.bytes)}`]),
    "",
  ];
}

function textOf(hex: string): string {
  return formatPacket(Buffer.from(hex, "hex"));
}

function formatTime(timeNs: string): string {
  const ns = BigInt(timeNs);
  const micros = ((ns / 1000n) % 1_000_000n).toString().padStart(6, "0");
  return new Date(Number(ns / 1_000_000n)).toISOString().replace(/\.\d+Z$/, `.${micros}Z`);
}

function formatFlow({ flow, received }: TracedPacket): string[] {
  if (flow === null) return ["   no flow"];
  const name = nameFlow(Buffer.from(received, "hex"));
  const states = [flow.before, flow.after].map((view) => view?.state ?? "none");
  const state = states[0] === states[1] ? states[0] : states.join(" -> ");
  const events = flow.events.length === 0 ? "" : `; ${flow.events.join(", ")}`;
  return [`   flow ${flow.number} (${name}): ${state}${formatPackets(flow.after)}${events}`];
}

function formatPackets(view: FlowView | null): string {
  if (view === null) return "";
  const [there = 0, back = 0] = view.packets;
  const labels = view.labels.length === 0 ? "" : `, labels ${view.labels.join(", ")}`;
  return `, ${there} packets there and ${back} back${labels}`;
}

function formatHops(hops: readonly TracedHop[]): string[] {
  const rows = hops.map((hop) => [
    ...[hop.hop, hop.function, hop.package, hop.verdict, hop.reason, hop.to ?? ""],
    hop.rewrite === null ? "" : "yes",
    hop.columns.map(({ name, before, after }) => `${name} ${before} -> ${after}`).join(", "),
  ]);
  const header = ["HOP", "FUNCTION", "PACKAGE", "VERDICT", "REASON", "TO", "REWRITE", "COLUMNS"];
  return formatTable(header, rows).map((line) => `   ${line}`);
}

function formatDetails({ function: name, rule, source, mark, rewrite, messages }: TracedHop): string[] {
  const details = [
    ...(rule === null ? [] : [`rule ${rule.where ?? rule.pointer}: ${JSON.stringify(rule.value)}`]),
    ...(source === null ? [] : [`trapped at ${source}`]),
    ...(mark === null ? [] : [`mark ${mark}`]),
    ...(rewrite === null ? [] : [`before ${textOf(rewrite.before)}`, `after  ${textOf(rewrite.after)}`]),
    ...messages.map(({ kind, what, bytes }) => `${kind} ${what}${bytes === null ? "" : `: ${textOf(bytes)}`}`),
  ];
  return details.map((line) => `   ${name}: ${line}`);
}

function formatEnd(end: TracedEnding): string {
  return end.kind === "waits" ? "waits for other fragments of its packet" : formatEnding(end);
}

/** Where the copy of the chain and the chain itself do not agree. */
function formatLive({ live, end }: TracedPacket): string {
  if (live === null || (formatEnding(live) === formatEnding(end) && live.bytes === end.bytes)) return "";
  const how = formatEnding(live) === formatEnding(end) ? "left with other bytes" : formatEnding(live);
  return ` (in the chain itself: ${how})`;
}
