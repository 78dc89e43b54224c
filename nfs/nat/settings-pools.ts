// What outside addresses and ports a rule gives, read. Cold.
import { Address, Config } from "../sdk";
import { follow } from "./own-addresses";
import { fix6 } from "./fixed";
import { describeNeed, fitsLane, isForAllLanes } from "./lane-share";
import { Net } from "./nets";
import {
  ADDRESS_AND_PORT_DEPENDENT,
  addIpv6,
  BEHAVIOURS,
  LAST_LOW_PORT,
  outsidePorts,
  poolRules,
  SourceRule,
} from "./rules";
import { FIXED, PLACES } from "./store";

const LAST_MASQUERADING_PORT: u32 = 32767;

/** Prefixes of one family, that of the first. */
export function readNets(config: Config): Net[] {
  const nets: Net[] = [];
  for (let i = 0; i < config.length; i++) {
    const net = new Net(config.at(i).asPrefix());
    if (i > 0 && net.isIpv6 != nets[0].isIpv6) config.at(i).fail("must be of the family of those before it");
    nets.push(net);
  }
  return nets;
}

/** An address as rules have it, and for IPv6 until they are settled. */
export function fixAddress(config: Config, address: Address): u32 {
  if (address.version == 4) {
    // Such words are numbers of IPv6 addresses.
    if ((<u32>address.low) >> 24 == 0) config.fail("must not begin with 0");
    return <u32>address.low;
  }
  addIpv6();
  const number = fix6(address.high, address.low);
  if (number == 0) config.fail("is one IPv6 address too many: rules may name " + FIXED.toString());
  return number;
}

/** A pool, or the address of a port. */
export function readOutside(config: Config, rule: SourceRule): void {
  if (config.has("masquerade")) {
    if (config.has("pool")) config.get("masquerade").fail("takes the place of a pool: there must not be both");
    readMasquerade(config.get("masquerade"), rule);
  } else if (config.has("pool")) {
    readPool(config.list("pool"), rule);
  } else {
    config.fail("needs a pool, or masquerade");
  }
}

/** The pool is the address of one of the outside ports. */
function readMasquerade(config: Config, rule: SourceRule): void {
  rule.ownPort = config.isText ? readOutsidePort(config) : theOutsidePort(config);
  rule.pool.push(0);
  unchecked((rule.places[0] = -1));
  rule.hasAddress = false;
  // The kernel has the others for its own connections.
  rule.highPort = LAST_MASQUERADING_PORT;
  follow(rule.ownPort, rule.isIpv6);
  if (rule.isIpv6) addIpv6();
}

export function readOutsidePort(config: Config): i32 {
  const port = config.asPort();
  if (unchecked(outsidePorts[port]) == 0) config.fail("must be one of the outside ports");
  return port;
}

function theOutsidePort(config: Config): i32 {
  if (!config.asFlag()) config.fail("must be true, or the name of an outside port");
  const port = outsidePorts.indexOf(1);
  if (outsidePorts.indexOf(1, port + 1) >= 0) config.fail("must name one of the outside ports: there are several");
  return max(port, 0);
}

/** What rules with a pool have in common. */
export function readPoolRule(config: Config, rule: SourceRule): void {
  rule.mapping = config.choiceOr("mapping", rule.mapping, BEHAVIOURS);
  rule.filtering = config.choiceOr("filtering", rule.filtering, BEHAVIOURS);
  if (config.has("ports")) {
    const ports = config.range("ports", 1, 65535);
    rule.lowPort = ports.low;
    rule.highPort = ports.high;
  }
  rule.parity = config.flagOr("parity", true);
  rule.preserves = config.choiceOr("order", 0, ["random", "preserve"]) == 1;
  rule.paired = config.choiceOr("pooling", 0, ["paired", "arbitrary"]) == 0;
  rule.otherAddress = config.choiceOr("whenExhausted", 0, ["drop", "other-address"]) == 1;
  rule.hairpins = config.flagOr("hairpin", true);
  rule.mappingsPerHost = <u32>config.integerOr("mappingsPerHost", 0, 0, 1 << 20);
  rule.sessionsPerHost = <u32>config.integerOr("sessionsPerHost", 0, 0, 1 << 20);
  rule.keepsLow = config.flagOr("keepLowPorts", false);
  rule.sharesPorts = config.flagOr("sharePorts", false);
  if (
    rule.sharesPorts &&
    (rule.mapping != ADDRESS_AND_PORT_DEPENDENT || rule.filtering != ADDRESS_AND_PORT_DEPENDENT)
  ) {
    config.get("sharePorts").fail("needs mapping and filtering to be address-and-port-dependent");
  }
  if (config.has("blocks")) readBlocks(config.get("blocks"), rule);
  else checkLanes(config, rule);
  for (let i = 0; i < poolRules.length; i++) {
    if (sharesWithout(poolRules[i], rule)) {
      config.fail("has the address of an earlier rule with other blocks");
      break;
    }
  }
  poolRules.push(rule);
}

/** The hosts of a lane without ports would get none. */
function checkLanes(config: Config, rule: SourceRule): void {
  if (rule.keepsLow && !isForAllLanes(1, LAST_LOW_PORT)) {
    config.get("keepLowPorts").fail("leaves lanes without ports below 1024: " + describeNeed());
  }
  if (isForAllLanes(rule.lowPort, rule.highPort)) return;
  const at = config.has("ports") ? config.get("ports") : config;
  at.fail("leaves lanes without ports: " + describeNeed());
}

const BLOCK_SIZES: StaticArray<i32> = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

function readBlocks(config: Config, rule: SourceRule): void {
  const size = <i32>config.integer("size", 64, 16384);
  if (!BLOCK_SIZES.includes(size)) config.get("size").fail("must be a power of two");
  else if (!fitsLane(size)) {
    config.get("size").fail("is more than the ports that a lane has in a row: flows.spread.portsInTurn of the chain");
  }
  rule.blockSize = <u32>size;
  rule.blocksPerHost = <u32>config.integerOr("perHost", 1, 1, 1024);
  // Blocks begin at multiples of their size.
  const first = (rule.lowPort + rule.blockSize - 1) & ~(rule.blockSize - 1);
  const end = (rule.highPort + 1) & ~(rule.blockSize - 1);
  if (first >= end) config.fail("of that size do not fit between the ports");
  else if (!isForAllLanes(first, end - 1)) config.fail("leave lanes without any: " + describeNeed());
}

/** Where ports are given one by one, none of a block may be among them. */
function sharesWithout(one: SourceRule, other: SourceRule): bool {
  if (one.blockSize == other.blockSize || one.ownPort != other.ownPort || one.isIpv6 != other.isIpv6) return false;
  for (let i = 0; i < one.pool.length; i++) {
    if (other.pool.includes(one.pool[i])) return true;
  }
  return false;
}

/** Addresses and prefixes of the rule's family; every address of a prefix is used. */
function readPool(pool: Config, rule: SourceRule): void {
  if (pool.isList && pool.length == 0) pool.fail("must not be empty");
  for (let i = 0; i < pool.length; i++) {
    const prefix = pool.at(i).asPrefix();
    const bits = prefix.address.bits - prefix.length;
    if ((prefix.address.version == 6) != rule.isIpv6) {
      return pool.at(i).fail(rule.isIpv6 ? "must be of IPv6, as the hosts are" : "must be of IPv4");
    }
    if (bits > 8 || ((<u32>1) << bits) + <u32>rule.pool.length > PLACES) {
      return pool.fail("must not have more than " + PLACES.toString() + " addresses");
    }
    for (let n: u64 = 0; n < (<u64>1) << bits; n++) {
      const address = new Address(prefix.address.version, prefix.address.high, prefix.address.low + n);
      rule.pool.push(fixAddress(pool.at(i), address));
      unchecked((rule.places[rule.pool.length - 1] = -1));
    }
  }
  if (rule.isIpv6) rule.fixed = rule.pool.slice(0);
}
