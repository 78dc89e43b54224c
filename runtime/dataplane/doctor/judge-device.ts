// What the facts about a network device mean. Pure.

import type { Finding } from "../doctor.ts";
import type { DeviceFacts, LinkFacts } from "./device-facts.ts";

type Verdict = Omit<Finding, "subject">;

const SLOT_BYTES = 2048;
/** XDP_PACKET_HEADROOM, which the kernel leaves before a frame. */
const HEADROOM_BYTES = 256;
const ETHERNET_HEADER_BYTES = 14;
const TWO_VLAN_TAGS_BYTES = 8;

export function judgeDevice(facts: DeviceFacts): Finding[] {
  const { name, link } = facts;
  if (link === null) {
    const mend = "ip link show, to see the names of this network namespace's devices";
    return [{ subject: name, status: "fail", found: "no such device", meaning: "its port cannot open", mend }];
  }
  const verdicts: Record<string, Verdict | null> = {
    state: judgeState(name, link),
    MTU: judgeMtu(name, link),
    queues: judgeQueues(name, facts.queues),
    "XDP program": judgeProgram(name, link),
    "XDP modes": judgeModes(facts),
    "VLAN tags": judgeVlan(facts),
    "merged segments": judgeMerging(facts),
    "far end": judgeFarEnd(facts),
  };
  return Object.entries(verdicts).flatMap(([subject, verdict]) =>
    verdict === null ? [] : [{ subject: `${name} ${subject}`, ...verdict }],
  );
}

function judgeState(name: string, { isUp, hasCarrier }: LinkFacts): Verdict {
  if (isUp && hasCarrier) return { status: "ok", found: "up", meaning: "frames can pass" };
  const meaning = "its port opens, but no frame passes until it is up";
  if (isUp) return { status: "warn", found: "no carrier", meaning, mend: "connect the other end" };
  return { status: "warn", found: "down", meaning, mend: `ip link set dev ${name} up` };
}

function judgeMtu(name: string, { mtu }: LinkFacts): Verdict {
  const room = SLOT_BYTES - HEADROOM_BYTES;
  const most = room - ETHERNET_HEADER_BYTES - TWO_VLAN_TAGS_BYTES;
  if (mtu <= most) return { status: "ok", found: String(mtu), meaning: `every frame fits a slot (MTU up to ${most})` };
  const meaning = `frames longer than ${room} bytes do not fit a slot and are lost`;
  return { status: "warn", found: String(mtu), meaning, mend: `ip link set dev ${name} mtu 1500` };
}

function judgeQueues(name: string, queues: number): Verdict {
  if (queues === 1) return { status: "ok", found: "1", meaning: "one socket sees every frame" };
  const meaning = "frames of a queue that the chain does not name go to the kernel, past the chain";
  const mend = `ethtool -L ${name} combined 1, or let the port name all queues: a lane for each`;
  return { status: "warn", found: String(queues), meaning, mend };
}

function judgeProgram(name: string, { program }: LinkFacts): Verdict {
  if (program === null) return { status: "ok", found: "none", meaning: "the device is free" };
  const meaning = "Sluice, or another program, has the device: no second one can open it";
  const mend = `end that program; if nobody owns it: ip link set dev ${name} xdp off`;
  return { status: "warn", found: `program ${program}`, meaning, mend };
}

function judgeModes({ probes, link }: DeviceFacts): Verdict {
  if (probes === null) {
    const meaning = "the port takes the best of zero-copy, copy and generic, and reports which";
    const found = link?.program === null ? "not tried" : "not tried: the device is taken";
    return { status: "ok", found, meaning };
  }
  const found = probes.map(({ mode, why }) => (why === null ? mode : `no ${mode} (${why})`)).join(", ");
  const best = probes.find(({ why }) => why === null)?.mode;
  if (best !== undefined) return { status: "ok", found, meaning: `the port will run in ${best} mode` };
  const mend = "see the reasons; AF_XDP needs root and a kernel with CONFIG_XDP_SOCKETS";
  return { status: "fail", found, meaning: "its port cannot open", mend };
}

/** A tag that the device took out of the frame is lost to XDP programs and AF_XDP sockets, in every mode. */
function judgeVlan({ name, driver, features }: DeviceFacts): Verdict | null {
  if (driver === "veth") return null;
  if (!features.has("rx-vlan-offload")) return { status: "ok", found: "left in frames", meaning: "chains see them" };
  return {
    status: "warn",
    found: "taken out by the device (rx-vlan-offload)",
    meaning: "tagged frames enter the chain without their tags",
    mend: `ethtool -K ${name} rxvlan off`,
  };
}

function judgeMerging({ name, features, probes }: DeviceFacts): Verdict {
  const merging = ["large-receive-offload", "generic-receive-offload"].filter((feature) => features.has(feature));
  const onlyGeneric = probes?.every(({ mode, why }) => why !== null || mode === "generic");
  if (merging.length === 0) return { status: "ok", found: "no", meaning: "frames arrive as they were sent" };
  const found = merging.join(", ");
  if (merging.length === 1 && !features.has("large-receive-offload") && onlyGeneric !== true) {
    return {
      status: "ok",
      found,
      meaning: "comes after XDP in the driver; in generic mode it would merge frames first",
    };
  }
  const meaning = "segments of one connection arrive as one frame that fits no slot, and are lost";
  return { status: "warn", found, meaning, mend: `ethtool -K ${name} lro off gro off` };
}

function judgeFarEnd({ driver }: DeviceFacts): Verdict | null {
  if (driver !== "veth") return null;
  return {
    status: "warn",
    found: "a veth, whose peer cannot be seen from here",
    meaning:
      "with offloads on, the peer's own packets come with partial checksums, unsegmented, their VLAN tags hidden",
    mend: "at the peer: ethtool -K PEER tx off txvlan off",
  };
}
