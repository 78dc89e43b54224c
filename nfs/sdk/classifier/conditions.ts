// A rule's conditions, from the configuration into the classifier. Cold.
import { Config } from "../config";
import { Classifier, DESTINATION, SOURCE } from "./classifier";
import { readDscp, readEtherType, readIpProto } from "./names";
import {
  FIELD_DESTINATION_PORT,
  FIELD_DSCP,
  FIELD_ETHER_TYPE,
  FIELD_IP_PROTO,
  FIELD_LATER_FRAGMENT,
  FIELD_SOURCE_PORT,
  FIELD_VLAN,
} from "./tables";

/** Reads the conditions of a path's `match`. What derives from it may know sets by name. */
export class Conditions {
  constructor(readonly classifier: Classifier) {}

  read(config: Config, rule: u32): void {
    this.prefixes(config, "sources", rule, SOURCE);
    this.prefixes(config, "destinations", rule, DESTINATION);
    this.ports(config, "sourcePorts", rule, FIELD_SOURCE_PORT);
    this.ports(config, "destinationPorts", rule, FIELD_DESTINATION_PORT);
    this.values(config, "ipProtos", rule, FIELD_IP_PROTO, readIpProto);
    this.values(config, "vlans", rule, FIELD_VLAN, readVlan);
    this.values(config, "dscps", rule, FIELD_DSCP, readDscp);
    this.values(config, "etherTypes", rule, FIELD_ETHER_TYPE, readEtherType);
    if (config.has("laterFragments")) {
      const wanted = u32(config.flag("laterFragments"));
      this.classifier.addRange(rule, FIELD_LATER_FRAGMENT, wanted, wanted);
    }
  }

  prefixes(config: Config, key: string, rule: u32, field: i32): void {
    const list = listOf(config, key);
    if (list === null) return;
    for (let i = 0; i < list.length; i++) {
      const item = list.at(i);
      if (!this.joinSet(item, rule, field)) addPrefix(this.classifier, rule, field, item);
    }
  }

  ports(config: Config, key: string, rule: u32, field: i32): void {
    const list = listOf(config, key);
    if (list === null) return;
    for (let i = 0; i < list.length; i++) {
      const item = list.at(i);
      if (this.joinSet(item, rule, field)) continue;
      const range = item.asRange(0, 0xffff);
      this.classifier.addRange(rule, field, range.low, range.high);
    }
  }

  values(config: Config, key: string, rule: u32, field: i32, read: (value: Config) => u32): void {
    const list = listOf(config, key);
    if (list === null) return;
    for (let i = 0; i < list.length; i++) {
      const value = read(list.at(i));
      this.classifier.addRange(rule, field, value, value);
    }
  }

  /** True if the value was the name of a set, which the rule has now, or a fault that was reported. */
  protected joinSet(value: Config, rule: u32, field: i32): bool {
    return false;
  }
}

/** A list that is given but empty would match nothing or everything: neither is what anybody means. */
export function listOf(config: Config, key: string): Config | null {
  if (!config.has(key)) return null;
  const list = config.list(key);
  if (list.isList && list.length == 0) list.fail("must not be empty; leave it out to match everything");
  return list;
}

export function addPrefix(classifier: Classifier, rule: u32, field: i32, value: Config): void {
  const prefix = value.asPrefix();
  const address = prefix.address;
  if (address.version == 4) classifier.addPrefix4(rule, field, <u32>address.low, prefix.length);
  else classifier.addPrefix6(rule, field, address.high, address.low, prefix.length);
}

function readVlan(config: Config): u32 {
  return <u32>config.asInteger(0, 4094);
}
