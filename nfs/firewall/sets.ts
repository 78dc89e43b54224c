// Named sets of addresses or ports, which rules share.
import { Config } from "../sdk";
import { Classifier, DESTINATION, SOURCE } from "../sdk/classifier/classifier";
import { addPrefix, Conditions } from "../sdk/classifier/conditions";
import { FIELD_DESTINATION_PORT, FIELD_SOURCE_PORT } from "../sdk/classifier/tables";
import { Prefix } from "../sdk";

const PREFIX = "set:";
/** In all sets together. */
export const ENTRIES_LIMIT = 200_000;

/** The conditions of a rule, where `set:NAME` stands for all of the set. */
export class SetConditions extends Conditions {
  /** By set and field: the classifier's group. */
  private groups: Map<string, u32> = new Map<string, u32>();
  private entries: i32 = 0;

  constructor(
    classifier: Classifier,
    private sets: Config | null,
  ) {
    super(classifier);
    if (sets !== null) this.checkSets(sets);
  }

  private checkSets(sets: Config): void {
    for (let i = 0; i < sets.length; i++) {
      const set = sets.at(i);
      const hasAddresses = set.has("addresses");
      if (hasAddresses == set.has("ports")) set.fail("must have either addresses or ports");
      const value = set.get(hasAddresses ? "addresses" : "ports");
      if (!value.isText) this.entries += value.length;
      if (this.entries > ENTRIES_LIMIT) set.fail("sets have more than " + ENTRIES_LIMIT.toString() + " entries");
    }
  }

  protected joinSet(value: Config, rule: u32, field: i32): bool {
    if (!value.isText || !value.asText().startsWith(PREFIX)) return false;
    const name = value.asText().substring(PREFIX.length);
    const sets = this.sets;
    if (sets === null || !sets.has(name)) {
      value.fail("there is no set '" + name + "'");
      return true;
    }
    const key = name + ":" + field.toString();
    if (!this.groups.has(key)) this.groups.set(key, this.addSet(value, sets.object(name), field));
    this.classifier.join(rule, field, this.groups.get(key));
    return true;
  }

  private addSet(value: Config, set: Config, field: i32): u32 {
    const group = this.classifier.addGroup();
    const isAddress = field == SOURCE || field == DESTINATION;
    if (set.has("addresses") != isAddress) {
      value.fail(isAddress ? "is a set of ports" : "is a set of addresses");
      return group;
    }
    const entries = set.get(isAddress ? "addresses" : "ports");
    if (entries.isText && isAddress) addLines(this.classifier, group, field, entries);
    else this.addEntries(group, field, entries);
    return group;
  }

  private addEntries(group: u32, field: i32, entries: Config): void {
    for (let i = 0; i < entries.length; i++) {
      if (field == FIELD_SOURCE_PORT || field == FIELD_DESTINATION_PORT) {
        const range = entries.at(i).asRange(0, 0xffff);
        this.classifier.addRange(group, field, range.low, range.high);
      } else {
        addPrefix(this.classifier, group, field, entries.at(i));
      }
    }
  }
}

/** Text of a file: a prefix or an address per line; what follows a # is a comment. */
function addLines(classifier: Classifier, group: u32, field: i32, value: Config): void {
  const lines = value.asText().split("\n");
  if (lines.length > ENTRIES_LIMIT) value.fail("has more than " + ENTRIES_LIMIT.toString() + " lines");
  for (let i = 0; i < min(lines.length, ENTRIES_LIMIT); i++) {
    const comment = lines[i].indexOf("#");
    const text = (comment < 0 ? lines[i] : lines[i].substring(0, comment)).trim();
    if (text.length == 0) continue;
    const prefix = Prefix.parse(text);
    if (prefix === null) {
      value.fail("line " + (i + 1).toString() + " is not an IPv4 or IPv6 prefix: '" + text + "'");
    } else if (prefix.address.version == 4) {
      classifier.addPrefix4(group, field, <u32>prefix.address.low, prefix.length);
    } else {
      classifier.addPrefix6(group, field, prefix.address.high, prefix.address.low, prefix.length);
    }
  }
}
