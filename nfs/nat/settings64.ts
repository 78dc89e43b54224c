// NAT64's part of the configuration, read. Cold.
import { Config, Counter } from "../sdk";
import { BY_PORT, COUNT, setLimits } from "./limits64";
import { Net } from "./nets";
import { Nat64Rule, nat64Rules } from "./rules64";
import { readOutside, readPoolRule } from "./settings-pools";

const LENGTHS: StaticArray<u32> = [32, 40, 48, 56, 64, 96];

export function readLimits64(config: Config): void {
  const mtu = config.has("mtu6") ? <u32>config.integer("mtu6", 1280, 9216) : 0;
  const lowest = <u32>config.integerOr("lowestMtu6", 1280, 1280, 9216);
  if (mtu != 0 && lowest > mtu) config.fail("lowestMtu6 must not be above mtu6");
  setLimits(mtu, lowest, !config.has("countHops") ? BY_PORT : config.flag("countHops") ? COUNT : 0);
}

export function readNat64(config: Config, label: string): void {
  const prefix = config.prefix("prefix");
  if (prefix.address.version != 6) return config.get("prefix").fail("must be an IPv6 prefix");
  if (!LENGTHS.includes(prefix.length)) return config.get("prefix").fail("must have 32, 40, 48, 56, 64 or 96 bits");
  // The octet that has to be 0, of RFC 6052.
  if (prefix.length == 96 && prefix.address.low >> 56 != 0) {
    return config.get("prefix").fail("must have zeros in its bits 64 to 71");
  }
  const rule = new Nat64Rule(prefix, new Counter("translated", label), new Counter("refused", label));
  const hosts = config.list("from");
  for (let i = 0; i < hosts.length; i++) {
    const net = hosts.at(i).asPrefix();
    if (net.address.version != 6) hosts.at(i).fail("must be an IPv6 prefix");
    rule.sources.push(new Net(net));
  }
  readOutside(config, rule);
  readPoolRule(config, rule);
  nat64Rules.push(rule);
}
