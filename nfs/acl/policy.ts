// What becomes of a frame once its rule is known.
import {
  Counter,
  ETHER_TYPE_ARP,
  ICMPV6_NEIGHBOUR_ADVERTISEMENT,
  ICMPV6_NEIGHBOUR_SOLICITATION,
  IP_PROTO_ICMPV6,
  IP_PROTO_TCP,
  OFFSET_NONE,
  Packet,
  Reason,
} from "../sdk";
import { ROOT } from "../sdk/classifier/frame-rows";
import { DENY } from "./rules";
import { POLICY_ACTION, POLICY_COUNTER, ROOT_POLICIES } from "../sdk/classifier/tables";

const ruleReason = new Reason("rule");
const defaultReason = new Reason("default");
const malformedReason = new Reason("malformed");
const tinyFragmentReason = new Reason("tiny-fragment");

/** Frames that no rule matched. */
export const unmatched = new Counter("unmatched");

export class Policy {
  defaultAction: i32 = DENY;
  malformedAction: i32 = DENY;
  permitsAddressResolution: bool = true;
  /** See ROOT_POLICIES. */
  readonly rules: usize;

  constructor(readonly ruleCount: u32) {
    this.rules = heap.alloc(ruleCount << 3);
    store<u32>(ROOT, <u32>this.rules, ROOT_POLICIES);
  }

  setRule(rule: u32, hits: Counter, action: i32): void {
    store<u32>(this.rules + (rule << 3), <u32>changetype<usize>(hits), POLICY_COUNTER);
    store<i32>(this.rules + (rule << 3), action, POLICY_ACTION);
  }

  /** `match` is the frame's rule, or `ruleCount` if it has none. */
  @inline
  apply(packet: Packet, match: u32): void {
    if (packet.malformed != 0) {
      if (this.malformedAction == DENY) packet.drop(malformedReason);
    } else if (isTinyFragment(packet)) {
      packet.drop(tinyFragmentReason);
    } else if (match == this.ruleCount) {
      this.applyDefault(packet);
    } else {
      const rule = this.rules + (match << 3);
      changetype<Counter>(<usize>load<u32>(rule, POLICY_COUNTER)).add();
      if (load<i32>(rule, POLICY_ACTION) == DENY) packet.drop(ruleReason, match + 1);
    }
  }

  private applyDefault(packet: Packet): void {
    unmatched.add();
    if (this.defaultAction != DENY) return;
    if (this.permitsAddressResolution && isAddressResolution(packet)) return;
    packet.drop(defaultReason);
  }
}

/** It would overwrite the flags of a TCP header that was judged already (RFC 1858, section 3.2.2). */
@inline
function isTinyFragment(packet: Packet): bool {
  return packet.fragmentOffset == 8 && packet.ipProto == IP_PROTO_TCP;
}

/** ARP, or an IPv6 neighbour solicitation or advertisement that comes from this link (RFC 4861, section 7.1). */
function isAddressResolution(packet: Packet): bool {
  if (packet.etherType == ETHER_TYPE_ARP) return true;
  if (packet.ipProto != IP_PROTO_ICMPV6 || packet.l4Offset == OFFSET_NONE) return false;
  const ipv6 = packet.ipv6;
  const type = packet.sourcePort >> 8;
  const isNeighbour = type == ICMPV6_NEIGHBOUR_SOLICITATION || type == ICMPV6_NEIGHBOUR_ADVERTISEMENT;
  return ipv6 !== null && ipv6.hopLimit == 255 && isNeighbour;
}
