// The rules of the configuration, as the classifier wants them. Cold.
import { Config } from "../sdk";
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

/** Index of the action that a word of the document names. */
export const ACTIONS = ["deny", "permit"];
export const DENY = 0;
export const PERMIT = 1;

export function readConditions(config: Config, rule: u32, classifier: Classifier): void {
  readPrefixes(config, "sources", rule, SOURCE, classifier);
  readPrefixes(config, "destinations", rule, DESTINATION, classifier);
  readPorts(config, "sourcePorts", rule, FIELD_SOURCE_PORT, classifier);
  readPorts(config, "destinationPorts", rule, FIELD_DESTINATION_PORT, classifier);
  readValues(config, "ipProtos", rule, FIELD_IP_PROTO, classifier, readIpProto);
  readValues(config, "vlans", rule, FIELD_VLAN, classifier, readVlan);
  readValues(config, "dscps", rule, FIELD_DSCP, classifier, readDscp);
  readValues(config, "etherTypes", rule, FIELD_ETHER_TYPE, classifier, readEtherType);
  if (config.has("laterFragments")) {
    const wanted = u32(config.flag("laterFragments"));
    classifier.addRange(rule, FIELD_LATER_FRAGMENT, wanted, wanted);
  }
}

/** A list that is given but empty would match nothing or everything: neither is what anybody means. */
function listOf(config: Config, key: string): Config | null {
  if (!config.has(key)) return null;
  const list = config.list(key);
  if (list.isList && list.length == 0) list.fail("must not be empty; leave it out to match everything");
  return list;
}

function readPrefixes(config: Config, key: string, rule: u32, field: i32, classifier: Classifier): void {
  const list = listOf(config, key);
  if (list === null) return;
  for (let i = 0; i < list.length; i++) {
    const prefix = list.at(i).asPrefix();
    const address = prefix.address;
    if (address.version == 4) classifier.addPrefix4(rule, field, <u32>address.low, prefix.length);
    else classifier.addPrefix6(rule, field, address.high, address.low, prefix.length);
  }
}

function readPorts(config: Config, key: string, rule: u32, field: i32, classifier: Classifier): void {
  const list = listOf(config, key);
  if (list === null) return;
  for (let i = 0; i < list.length; i++) {
    const range = list.at(i).asRange(0, 0xffff);
    classifier.addRange(rule, field, range.low, range.high);
  }
}

function readValues(
  config: Config,
  key: string,
  rule: u32,
  field: i32,
  classifier: Classifier,
  read: (value: Config) => u32,
): void {
  const list = listOf(config, key);
  if (list === null) return;
  for (let i = 0; i < list.length; i++) {
    const value = read(list.at(i));
    classifier.addRange(rule, field, value, value);
  }
}

function readVlan(config: Config): u32 {
  return <u32>config.asInteger(0, 4094);
}
