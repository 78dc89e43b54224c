// The configuration, read. Cold; README.md says what each key means.
import { Config, Counter, IP_PROTO_TCP, IP_PROTO_UDP, Prefix } from "../sdk";
import { needNumbers } from "./fixed";
import { follow, isOwnAddress } from "./own-addresses";
import { PrefixRule, prefixRules } from "./prefixes";
import { readProtocols } from "./protocols";
import { setTelling } from "./reasons";
import {
  addForward,
  addIpv6,
  Forward,
  forwards,
  OneToOne,
  oneToOnes,
  outsidePorts,
  RULES,
  SourceRule,
  sourceRules,
} from "./rules";
import { readLimits64, readNat64 } from "./settings64";
import { Net } from "./nets";
import { fixAddress, readNets, readOutside, readOutsidePort, readPoolRule } from "./settings-pools";

/** The words of `unclaimed`. */
export const UNCLAIMED_DROP = 0;
export const UNCLAIMED_PASS = 1;
export const UNCLAIMED_HOST = 2;

let unclaimed: i32 = UNCLAIMED_DROP;
/** Of the addresses that ports of the chain have, which the machine itself uses. */
let ownUnclaimed: i32 = UNCLAIMED_PASS;
export let udpTimeoutMs: u32 = 300_000;
export let icmpTimeoutMs: u32 = 60_000;

export function readSettings(json: string): bool {
  const config = Config.parse(json);
  const outside = config.list("outside");
  for (let i = 0; i < outside.length; i++) unchecked((outsidePorts[outside.at(i).asPort()] = 1));
  unclaimed = config.choiceOr("unclaimed", UNCLAIMED_DROP, ["drop", "pass", "host"]);
  if (config.has("unclaimed")) ownUnclaimed = unclaimed;
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

/** What becomes of packets to that outside address which nothing is mapped to. */
export function unclaimedOf(address: u32): i32 {
  return isOwnAddress(address) ? ownUnclaimed : unclaimed;
}

/** Whether what nothing is mapped to may be for the machine itself, and goes on. */
export function mayBeOwn(address: u32): bool {
  return ownUnclaimed == UNCLAIMED_PASS && isOwnAddress(address);
}

function readEach(config: Config, key: string, read: (rule: Config, label: string) => void): void {
  if (!config.has(key)) return;
  const list = config.list(key);
  if (list.length > RULES) return list.fail("must not have more than " + RULES.toString() + " rules");
  for (let i = 0; i < list.length; i++) read(list.at(i), key + "=" + (i + 1).toString());
}

function readSource(config: Config, label: string): void {
  const rule = new SourceRule(new Counter("translated", label), new Counter("refused", label));
  rule.sources = readNets(config.list("from"));
  rule.isIpv6 = rule.sources.length > 0 && rule.sources[0].isIpv6;
  readOutside(config, rule);
  readPoolRule(config, rule);
  sourceRules.push(rule);
}

function readForward(config: Config, label: string): void {
  const ipProto = config.choice("ipProto", ["tcp", "udp"]) == 0 ? IP_PROTO_TCP : IP_PROTO_UDP;
  const follows = config.has("port");
  const isConfigured = config.has("address");
  if (follows && isConfigured) config.get("port").fail("takes the place of an address: there must not be both");
  const ownPort: i32 = follows ? readOutsidePort(config.get("port")) : -1;
  if (!follows && !isConfigured) config.fail("needs an address, or a port that has it");
  const to = config.address("to");
  const isIpv6 = to.version == 6;
  const address = isConfigured ? readForwarded(config.get("address"), to.version) : 0;
  const ports = config.range("ports", 1, 65535);
  const toPort = <u32>config.integerOr("toPort", ports.low, 1, 65535);
  if (toPort + ports.high - ports.low > 65535) config.get("toPort").fail("leads beyond port 65535");
  const counter = new Counter("translated", label);
  const host = fixAddress(config.get("to"), to);
  const rule = new Forward(address, ownPort, ipProto, ports.low, ports.high, host, toPort, isIpv6, counter);
  for (let i = 0; i < forwards.length; i++) {
    if (rule.overlaps(forwards[i])) config.fail("forwards ports that an earlier rule forwards");
  }
  if (follows) follow(ownPort, isIpv6);
  addForward(rule);
}

function readForwarded(config: Config, version: u32): u32 {
  const address = config.asAddress();
  if (address.version != version) config.fail("must be of the family of the inside host");
  return fixAddress(config, address);
}

function readOneToOne(config: Config, label: string): void {
  const one = config.prefix("inside");
  const other = config.prefix("outside");
  if (one.address.version != other.address.version) config.fail("needs prefixes of one family");
  if (one.length != other.length) config.fail("needs prefixes of one length");
  const inside = new Net(one);
  const outside = new Net(other);
  if (inside.isIpv6) {
    addIpv6();
    needNumbers();
  }
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
