// The configuration, read. Cold; README.md says what each key means.
import { Config, Counter, IP_PROTO_TCP, IP_PROTO_UDP, Prefix } from "../sdk";
import { PrefixRule, prefixRules } from "./prefixes";
import { readProtocols } from "./protocols";
import { setTelling } from "./reasons";
import {
  ADDRESS_AND_PORT_DEPENDENT,
  BEHAVIOURS,
  Forward,
  forwards,
  Net,
  OneToOne,
  oneToOnes,
  outsidePorts,
  poolRules,
  reserve,
  SourceRule,
  sourceRules,
} from "./rules";
import { readLimits64, readNat64 } from "./settings64";
import { PLACES } from "./store";

/** What becomes of packets to an outside address that nothing is mapped to. */
export const UNCLAIMED_DROP = 0;
export const UNCLAIMED_PASS = 1;
export const UNCLAIMED_HOST = 2;

const RULES_LIMIT = 256;

export let unclaimed: i32 = UNCLAIMED_DROP;
export let udpTimeoutMs: u32 = 300_000;
export let icmpTimeoutMs: u32 = 60_000;

export function readSettings(json: string): bool {
  const config = Config.parse(json);
  const outside = config.list("outside");
  for (let i = 0; i < outside.length; i++) unchecked((outsidePorts[outside.at(i).asPort()] = 1));
  unclaimed = config.choiceOr("unclaimed", UNCLAIMED_DROP, ["drop", "pass", "host"]);
  udpTimeoutMs = <u32>config.integerOr("udpTimeout", 300, 120, 86400) * 1000;
  icmpTimeoutMs = <u32>config.integerOr("icmpTimeout", 60, 60, 86400) * 1000;
  setTelling(config.flagOr("tellRefused", false));
  readEach(config, "oneToOne", readOneToOne);
  readEach(config, "forwards", readForward);
  readEach(config, "sources", readSource);
  readEach(config, "prefixes", readPrefixRule);
  readEach(config, "nat64", readNat64);
  readLimits64(config);
  if (config.has("helpers")) readProtocols(config.object("helpers"));
  return config.accepted();
}

function readEach(config: Config, key: string, read: (rule: Config, label: string) => void): void {
  if (!config.has(key)) return;
  const list = config.list(key);
  if (list.length > RULES_LIMIT) return list.fail("must not have more than " + RULES_LIMIT.toString() + " rules");
  for (let i = 0; i < list.length; i++) read(list.at(i), key + "=" + (i + 1).toString());
}

function readNet(config: Config): Net {
  const prefix = config.asPrefix();
  if (prefix.address.version != 4) config.fail("must be an IPv4 prefix");
  return new Net(prefix);
}

function readAddress(config: Config): u32 {
  const address = config.asAddress();
  if (address.version != 4) config.fail("must be an IPv4 address");
  return <u32>address.low;
}

function readSource(config: Config, label: string): void {
  const rule = new SourceRule(new Counter("translated", label), new Counter("refused", label));
  const sources = config.list("from");
  for (let i = 0; i < sources.length; i++) rule.sources.push(readNet(sources.at(i)));
  readPoolRule(config, rule);
  sourceRules.push(rule);
}

/** What rules with a pool have in common. */
export function readPoolRule(config: Config, rule: SourceRule): void {
  readPool(config.list("pool"), rule);
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
      config.get("pool").fail("has an address of an earlier rule with other blocks");
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
  if (one.blockSize == other.blockSize) return false;
  for (let i = 0; i < one.pool.length; i++) {
    if (other.pool.includes(one.pool[i])) return true;
  }
  return false;
}

/** Addresses and prefixes; every address of a prefix is used. */
function readPool(pool: Config, rule: SourceRule): void {
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

function readForward(config: Config, label: string): void {
  const ipProto = config.choice("ipProto", ["tcp", "udp"]) == 0 ? IP_PROTO_TCP : IP_PROTO_UDP;
  const address = readAddress(config.get("address"));
  const ports = config.range("ports", 1, 65535);
  const to = readAddress(config.get("to"));
  const toPort = <u32>config.integerOr("toPort", ports.low, 1, 65535);
  if (toPort + ports.high - ports.low > 65535) config.get("toPort").fail("leads beyond port 65535");
  for (let i = 0; i < forwards.length; i++) {
    const other = forwards[i];
    if (
      other.address == address &&
      other.ipProto == ipProto &&
      ports.low <= other.highPort &&
      other.lowPort <= ports.high
    )
      config.fail("forwards ports that an earlier rule forwards");
  }
  const rule = new Forward(address, ipProto, ports.low, ports.high, to, toPort, new Counter("translated", label));
  forwards.push(rule);
  reserve(rule);
}

function readOneToOne(config: Config, label: string): void {
  const inside = readNet(config.get("inside"));
  const outside = readNet(config.get("outside"));
  if (inside.mask != outside.mask) config.fail("needs prefixes of one length");
  oneToOnes.push(new OneToOne(inside, outside, new Counter("translated", label)));
}

function readPrefixRule(config: Config, label: string): void {
  const inside = readPrefix6(config, "inside");
  const outside = readPrefix6(config, "outside");
  prefixRules.push(new PrefixRule(inside, outside, new Counter("translated", label)));
}

function readPrefix6(config: Config, key: string): Prefix {
  const prefix = config.prefix(key);
  if (prefix.address.version != 6) config.get(key).fail("must be an IPv6 prefix");
  else if (prefix.length > 64 || prefix.length == 0) config.get(key).fail("must have a length from 1 to 64");
  return prefix;
}
