// A filter in words, as numbers of the lane.
import { parseMatch } from "../../chain/match-source.ts";
import { suggest } from "../../chain/nearest.ts";
import type { Match, Plan } from "../../chain/plan.ts";
import { SluiceError } from "../../errors.ts";
import { engineDropReasons } from "../layout.ts";
import type { DropCause, FrameFilter } from "../native-mirror.ts";
import type { FilterRequest } from "./requests.ts";

/** A plan, and by function of it the reasons that it declared. */
export interface WatchedChain {
  readonly plan: Plan;
  readonly reasons: readonly (readonly string[])[];
}

type Direction = "in" | "out" | "both";

/** Throws usage for what is not in the chain. */
export function planFilter(request: FilterRequest, chain: WatchedChain, direction: Direction): FrameFilter {
  const ports = planPorts(request.ports, chain.plan);
  const flow = request.flow ?? "";
  const isNumber = /^\d+$/.test(flow);
  const isTuple = flow !== "" && !isNumber;
  if (isTuple && request.match !== undefined) {
    throw usage("flow", "endpoints of a flow are a match already", "name the flow by its number, or leave the match");
  }
  return {
    matches: isTuple ? parseTuple(flow) : planMatches(request.match),
    flow: isNumber ? Number(flow) : 0,
    comes: direction === "out" ? [] : ports,
    leaves: direction === "in" ? [] : ports,
    causes: request.drops === undefined ? null : planCauses(request.drops, chain),
  };
}

function planPorts(names: readonly string[] | undefined, { ports }: Plan): number[] {
  const known = ports.map(({ name }) => name);
  if (names === undefined || names.length === 0) return [...known.keys()];
  return names.map((name) => {
    const index = known.indexOf(name);
    if (index >= 0) return index;
    throw usage("port", `the chain has no port "${name}"`, suggest(name, known, "ports"));
  });
}

/** Labels belong to flows, and a frame that is watched has none yet. */
function planMatches(text: string | undefined): Match[] {
  const match = text === undefined ? null : parseMatch(text, "match", []);
  return match === null ? [] : [match];
}

const TUPLE = /^(?:(\S+)\s+)?(\S+)\s+>\s+(\S+)$/;

/** Both directions. */
function parseTuple(text: string): Match[] {
  const [, proto, source, destination] = TUPLE.exec(text) ?? [];
  const ends = [source, destination].map((end) => parseEnd(end ?? ""));
  const [from, to] = ends;
  if (from === undefined || to === undefined) {
    throw usage("flow", `"${text}" is neither a number nor \`udp 10.0.0.1:5000 > 10.0.0.2:53\``);
  }
  const ipProtos = proto === undefined ? {} : { ipProtos: [proto.toLowerCase()] };
  const match = (a: End, b: End) => ({
    ...ipProtos,
    sources: [a.address],
    destinations: [b.address],
    ...(a.port === undefined ? {} : { sourcePorts: [a.port] }),
    ...(b.port === undefined ? {} : { destinationPorts: [b.port] }),
  });
  return [match(from, to), match(to, from)].map((each) => parseMatch(JSON.stringify(each), "flow", []) as Match);
}

interface End {
  readonly address: string;
  readonly port: number | undefined;
}

function parseEnd(text: string): End | undefined {
  const [, bracketed, plain, port] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+|[0-9a-fA-F:]*::?[0-9a-fA-F:.]*?))(?::(\d+))?$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  if (address === undefined) return undefined;
  return { address, port: port === undefined ? undefined : Number(port) };
}

const ANY = -1;

function planCauses(texts: readonly string[], chain: WatchedChain): DropCause[] {
  if (texts.includes("any")) return [];
  return texts.flatMap((text) => planCause(text, chain));
}

/** `FUNCTION`, `FUNCTION:REASON`, `FUNCTION:REASON:DETAIL`, `ENGINE-REASON`. */
function planCause(text: string, { plan, reasons }: WatchedChain): DropCause[] {
  const [name, reason, detail] = splitCause(text, plan);
  const index = plan.functions.findIndex((each) => each.name === name);
  const engine = engineReasonOf(name);
  if (index < 0 && engine >= 0 && reason === undefined) {
    return [{ hop: ANY, byEngine: true, reason: engine, detail: ANY }];
  }
  if (index < 0) {
    const known = [...plan.functions.map((each) => each.name), ...engineDropReasons];
    throw usage(
      "drop",
      `"${name}" is no function of the chain and no reason of the engine`,
      suggest(name, known, "names"),
    );
  }
  const hops = [...plan.hops.keys()].filter((hop) => plan.hops[hop]?.function === index);
  return hops.map((hop) => ({
    hop,
    ...planReason(text, reason, reasons[index] ?? []),
    detail: planDetail(text, detail),
  }));
}

/** Name, reason and detail. A canary's next version has a colon in its name. */
function splitCause(text: string, { functions }: Plan): readonly [string, string | undefined, string | undefined] {
  const owner = functions.find(({ name }) => name.includes(":") && `${text}:`.startsWith(`${name}:`))?.name;
  const [name = "", reason, detail] =
    owner === undefined ? text.split(":") : [owner, ...text.slice(owner.length + 1).split(":")];
  return [name, reason === "" ? undefined : reason, detail];
}

function planReason(
  text: string,
  reason: string | undefined,
  declared: readonly string[],
): Pick<DropCause, "byEngine" | "reason"> {
  if (reason === undefined) return { byEngine: false, reason: ANY };
  const own = declared.indexOf(reason);
  if (own >= 0) return { byEngine: false, reason: own };
  const engine = engineReasonOf(reason);
  if (engine >= 0) return { byEngine: true, reason: engine };
  throw usage("drop", `"${text}": the function has no reason "${reason}"`, suggest(reason, declared, "reasons"));
}

function planDetail(text: string, detail: string | undefined): number {
  if (detail === undefined) return ANY;
  if (/^\d+$/.test(detail)) return Number(detail);
  throw usage("drop", `"${text}": the detail of a reason is a number`);
}

function engineReasonOf(name: string): number {
  return (engineDropReasons as readonly string[]).indexOf(name);
}

function usage(where: string, what: string, help?: string): SluiceError {
  return new SluiceError({ code: "usage", where, what, help });
}
