// A policy as a chain of firewall and nat between the devices lan0 and wan0.
import type { Pair, Policy, PolicyRule } from "./policy.ts";

/** Frames of this ethertype pass whatever the policy says. */
export const MARKER_ETHER_TYPE = "0x88b5";
const NO_LIMIT = { perSecond: 1_000_000, burst: 1_000_000 };

export function chainDocument(policy: Policy): object {
  const outward = policy.translation === null ? ["fw"] : ["fw", "nat"];
  const past = { match: { etherTypes: [MARKER_ETHER_TYPE] }, through: [] };
  return {
    chain: "equivalent",
    ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
    functions: {
      fw: { use: "firewall@1", config: firewallConfig(policy) },
      ...(policy.translation !== null && { nat: { use: "nat@1", config: natConfig(policy.translation) } }),
    },
    paths: [
      { from: "lan", ...past, to: "wan" },
      { from: "wan", ...past, to: "lan" },
      { from: "lan", through: outward, to: "wan" },
      { from: "wan", through: outward.toReversed(), to: "lan" },
    ],
  };
}

function firewallConfig(policy: Policy): object {
  const { addressSets, portSets } = policy;
  const sets = [
    ...Object.entries(addressSets).map(([name, addresses]) => [name, { addresses }]),
    ...Object.entries(portSets).map(([name, ports]) => [name, { ports }]),
  ];
  return {
    zones: policy.zones,
    sets: Object.fromEntries(sets),
    rules: policy.rules satisfies readonly PolicyRule[],
    pairs: policy.pairs satisfies readonly Pair[],
    default: policy.default,
    midstream: policy.midstream ? "accept" : "invalid",
    rejectLimit: NO_LIMIT,
  };
}

function natConfig({ sources, forwards, oneToOne }: NonNullable<Policy["translation"]>): object {
  return {
    outside: ["wan"],
    // As conntrack does: the inside port if it is free, and replies from where the packet went only.
    sources: sources.map((rule) => ({
      ...rule,
      order: "preserve",
      parity: false,
      filtering: "address-and-port-dependent",
    })),
    forwards: forwards.map(({ ports: [first, last], ...rule }) => ({ ...rule, ports: `${first}-${last}` })),
    oneToOne,
  };
}
