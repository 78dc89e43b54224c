// What outside addresses and ports a rule gives, read. Cold.
import { Config } from "../sdk";
import { follow } from "./own-addresses";
import { ADDRESS_AND_PORT_DEPENDENT, BEHAVIOURS, Net, outsidePorts, poolRules, SourceRule } from "./rules";
import { PLACES } from "./store";

const LAST_MASQUERADING_PORT: u32 = 32767;

export function readNet(config: Config): Net {
  const prefix = config.asPrefix();
  if (prefix.address.version != 4) config.fail("must be an IPv4 prefix");
  return new Net(prefix);
}

/** The pool is the address of one of the outside ports. */
export function readMasquerade(config: Config, rule: SourceRule): void {
  rule.ownPort = config.isText ? readOutsidePort(config) : theOutsidePort(config);
  rule.pool.push(0);
  unchecked((rule.places[0] = -1));
  rule.hasAddress = false;
  // The kernel has the others for its own connections.
  rule.highPort = LAST_MASQUERADING_PORT;
  follow(rule.ownPort);
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
  for (let i = 0; i < poolRules.length; i++) {
    if (sharesWithout(poolRules[i], rule)) {
      config.fail("has the address of an earlier rule with other blocks");
      break;
    }
  }
  poolRules.push(rule);
}

const BLOCK_SIZES: StaticArray<i32> = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

function readBlocks(config: Config, rule: SourceRule): void {
  const size = <i32>config.integer("size", 64, 16384);
  if (!BLOCK_SIZES.includes(size)) config.get("size").fail("must be a power of two");
  rule.blockSize = <u32>size;
  rule.blocksPerHost = <u32>config.integerOr("perHost", 1, 1, 1024);
  // Blocks begin at multiples of their size.
  const first = (rule.lowPort + rule.blockSize - 1) & ~(rule.blockSize - 1);
  if (first + rule.blockSize - 1 > rule.highPort) config.fail("of that size do not fit between the ports");
}

/** Where ports are given one by one, none of a block may be among them. */
function sharesWithout(one: SourceRule, other: SourceRule): bool {
  if (one.blockSize == other.blockSize || one.ownPort != other.ownPort) return false;
  for (let i = 0; i < one.pool.length; i++) {
    if (other.pool.includes(one.pool[i])) return true;
  }
  return false;
}

/** Addresses and prefixes; every address of a prefix is used. */
export function readPool(pool: Config, rule: SourceRule): void {
  if (pool.isList && pool.length == 0) pool.fail("must not be empty");
  for (let i = 0; i < pool.length; i++) {
    const net = readNet(pool.at(i));
    const count: u64 = <u64>~net.mask + 1;
    if (net.value == 0) return pool.at(i).fail("must not be 0.0.0.0");
    if (count + rule.pool.length > PLACES) {
      return pool.fail("must not have more than " + PLACES.toString() + " addresses");
    }
    for (let n: u32 = 0; n < <u32>count; n++) {
      rule.pool.push(net.value + n);
      unchecked((rule.places[rule.pool.length - 1] = -1));
    }
  }
}
