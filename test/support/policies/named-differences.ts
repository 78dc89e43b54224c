// Where a chain of firewall and nat and the kernel's conntrack differ on purpose, by name, and why.
import type { Policy } from "./policy.ts";
import type { Comparison, Fate } from "./two-paths.ts";

export interface NamedDifference {
  readonly name: string;
  readonly why: string;
  /** What follows is to be alike again. */
  readonly passes?: boolean;
  readonly explains: (comparison: Comparison, policy: Policy) => boolean;
}

const onlyKernel = (engine: Fate, kernel: Fate) => engine.arrived === null && kernel.arrived !== null;
const onlyEngine = (engine: Fate, kernel: Fate) => engine.arrived !== null && kernel.arrived === null;

export const namedDifferences: readonly NamedDifference[] = [
  {
    name: "below-the-window",
    why: "conntrack lets segments pass that end before the receiver's window, however far; to the engine they are invalid",
    explains: ({ oddity = "", fates: { engine, kernel } }) =>
      oddity.startsWith("a segment far before the window") && kernel.arrived !== engine.arrived,
  },
  {
    name: "reset-without-acknowledgement",
    why: "a reset that answers a SYN has to acknowledge it (RFC 9293, section 3.10.7.3); conntrack believes any",
    explains: ({ oddity, fates: { engine, kernel } }) => oddity === "rst seq 1" && onlyKernel(engine, kernel),
  },
  {
    name: "second-syn",
    why: "a SYN in a connection is for its receiver to challenge (RFC 5961, section 4); conntrack drops it from one side",
    explains: ({ oddity, fates: { engine, kernel } }) =>
      oddity === "a second SYN from who was called" && onlyEngine(engine, kernel),
  },
  {
    name: "reopened",
    why: "a SYN against a dropped one makes the engine forget the flow; the SYN's repetition begins a new one",
    passes: true,
    explains: ({ oddity, fates: { engine, kernel } }) =>
      oddity === "a SYN in the way of a dropped one" && onlyKernel(engine, kernel),
  },
  {
    name: "invalid-untranslated",
    why: "the kernel does not translate what is invalid: where a rule lets it pass, it leaves with inside addresses; nat drops errors about no session",
    explains: ({ plan, fates: { engine, kernel } }, policy) =>
      policy.translation !== null &&
      acceptsInvalid(policy) &&
      (engine.arrived !== null || plan.name === "stray") &&
      (kernel.arrived === null || addressesOf(kernel.arrived) === addressesOf(kernel.sent)),
  },
  {
    name: "after-invalid",
    why: "conntrack forgets an invalid packet that a rule lets pass; the engine knows from it who spoke first",
    explains: ({ plan, step }, policy) => plan.name === "middle" && step >= 1 && acceptsInvalid(policy),
  },
  {
    name: "protocol-without-ports",
    why: "hosts that share an outside address are told apart by ports; nat drops what has none, the kernel takes a chance",
    explains: ({ oddity, fates: { engine, kernel } }, policy) =>
      oddity === "a protocol without ports" && policy.translation !== null && onlyKernel(engine, kernel),
  },
  {
    name: "undecided-translation",
    why: "nat comes before the firewall on the way in, and keeps with a flow that it does not translate it, also if the firewall drops its first packet",
    explains: ({ plan, step, fates: { engine, kernel } }, policy) =>
      plan.name.startsWith("crossing") &&
      plan.from === "wan" &&
      step === 1 &&
      policy.translation !== null &&
      engine.arrived !== null &&
      addressesOf(engine.arrived) === addressesOf(engine.sent) &&
      kernel.arrived !== engine.arrived,
  },
];

function acceptsInvalid({ rules }: Policy): boolean {
  return rules.some(({ action, states = [] }) => action === "accept" && states.includes("invalid"));
}

/** `udp 10.0.0.1:5 > 10.0.0.2:6`: who sends to whom. */
function addressesOf(line: string): string {
  return line.split(" ").slice(0, 4).join(" ");
}
