// What the gateway's operator would look at: zones, translations, and which rules have been hit.

import { parse } from "yaml";
import { formatTable } from "../cli/output.ts";
import type { FlowEndpoint } from "../dataplane/flow-reports.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { compressAddress } from "../telemetry/flow-lines.ts";
import { queryFlows } from "../telemetry/flow-query.ts";
import type { Observer } from "../telemetry/observer.ts";

const TRANSLATIONS = 6;

export function describeGateway(folder: string, observer: Observer, document: string): string[] {
  return [
    "",
    ...describeZones(document),
    "",
    ...describeRules(observer),
    "",
    ...describeTranslations(folder, observer),
  ];
}

function describeZones(document: string): string[] {
  const { zones } = parse(document).functions.fw.config as { zones: Record<string, Record<string, string[]>> };
  const rows = Object.entries(zones).map(([name, { ports = [], prefixes = [] }]) => [
    name,
    ports.join(" ") || "-",
    prefixes.join(" "),
  ]);
  return formatTable(["zone", "ports", "prefixes"], rows);
}

/** Only what has been hit. */
function describeRules(observer: Observer): string[] {
  const firewall = observer.snapshot().functions.find(({ name }) => name === "fw");
  const counters = firewall?.counters ?? [];
  const rows = counters
    .filter(({ name, value }) => name === "packets" && value > 0)
    .map(({ labels, value }) => {
      const bytes = counters.find((other) => other.name === "bytes" && other.labels === labels)?.value ?? 0;
      return [labels, value, bytes];
    });
  return formatTable(["rule or pair of zones", "packets", "bytes"], rows);
}

function describeTranslations(folder: string, observer: Observer): string[] {
  const flows = queryFlows(loadAddon(), { path: folder, engine: observer.engine }, { sort: "bytes" });
  const translated = flows.flatMap((flow) => (flow.reply == null ? [] : [{ ...flow, reply: flow.reply }]));
  const rows = translated.slice(0, TRANSLATIONS).map(({ source, destination, reply, octets }) => {
    const [sender, receiver] = reply;
    return [nameEnd(source), nameEnd(destination), nameEnd(receiver), nameEnd(sender), octets[0] + octets[1]];
  });
  return formatTable(["from", "to", "translated: from", "to", "bytes"], rows);
}

function nameEnd({ address, port }: FlowEndpoint): string {
  const text = compressAddress(address);
  return text.includes(":") ? `[${text}]:${port}` : `${text}:${port}`;
}
