// Schedules: named parts of the week, and the minute of the week that it is now.
import { Config } from "../sdk";
import { parseDecimal } from "../sdk/address";

const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const DAY_MINUTES: i32 = 1440;
const WEEK_MINUTES: i32 = 7 * 1440;
/** 1970 began on a Thursday. */
const EPOCH_MINUTES: i64 = 3 * 1440;
const MINUTE_NS: u64 = 60_000_000_000;

let schedules: Config | null = null;
let zoneMinutes: i64 = 0;

/** Minutes of the week from Monday 00:00, both ends included. */
export class Span {
  constructor(
    readonly first: u32,
    readonly last: u32,
  ) {}
}

export function readSchedules(config: Config): void {
  zoneMinutes = 0;
  if (config.has("utcOffset")) zoneMinutes = readOffset(config.get("utcOffset"));
  schedules = config.has("schedules") ? config.object("schedules") : null;
  const all = schedules;
  if (all === null) return;
  for (let i = 0; i < all.length; i++) spansOf(all.at(i));
}

/** The spans of the schedule that the value names. */
export function readSchedule(name: Config): Span[] {
  const all = schedules;
  if (all !== null && all.has(name.asText())) return spansOf(all.object(name.asText()));
  if (name.isText) name.fail("there is no schedule '" + name.asText() + "'");
  return [];
}

function spansOf(schedule: Config): Span[] {
  const from = schedule.has("from") ? readTime(schedule.get("from"), DAY_MINUTES - 1) : 0;
  const to = schedule.has("to") ? readTime(schedule.get("to"), DAY_MINUTES) : DAY_MINUTES;
  const minutes = to > from ? to - from : to - from + DAY_MINUTES;
  const spans: Span[] = [];
  const days = schedule.has("days") ? schedule.list("days") : null;
  for (let i = 0; i < (days === null ? 7 : days.length); i++) {
    const day = days === null ? i : days.at(i).asChoice(DAYS);
    const first = day * DAY_MINUTES + from;
    const last = first + minutes - 1;
    spans.push(new Span(first, min(last, WEEK_MINUTES - 1)));
    if (last >= WEEK_MINUTES) spans.push(new Span(0, last - WEEK_MINUTES));
  }
  return spans;
}

/** "08:30", at most "24:00". */
function readTime(value: Config, limit: i32): i32 {
  const text = value.asText();
  const parts = text.split(":");
  const hours = parts.length == 2 && parts[0].length == 2 ? parseTwoDigits(parts[0], 24) : -1;
  const minutes = parts.length == 2 && parts[1].length == 2 ? parseTwoDigits(parts[1], 59) : -1;
  const total = hours * 60 + minutes;
  if (hours >= 0 && minutes >= 0 && total <= limit) return total;
  if (value.isText) value.fail("must be a time of day such as '08:30'");
  return 0;
}

function parseTwoDigits(text: string, limit: i32): i32 {
  return <i32>parseDecimal(text.startsWith("0") ? text.substring(1) : text, limit);
}

/** "+01:00", "-05:30". */
function readOffset(value: Config): i64 {
  const text = value.asText();
  const parts = text.substring(1).split(":");
  const sound = parts.length == 2 && parts[0].length == 2 && parts[1].length == 2;
  const hours = sound ? parseTwoDigits(parts[0], 14) : -1;
  const minutes = sound ? parseTwoDigits(parts[1], 59) : -1;
  const sign = text.startsWith("+") ? 1 : text.startsWith("-") ? -1 : 0;
  if (sign != 0 && hours >= 0 && minutes >= 0) return sign * (hours * 60 + minutes);
  if (value.isText) value.fail("must be an offset from UTC such as '+01:00'");
  return 0;
}

export function minuteOfWeek(time: u64): u32 {
  const minutes = <i64>(time / MINUTE_NS) + EPOCH_MINUTES + zoneMinutes;
  return <u32>(((minutes % WEEK_MINUTES) + WEEK_MINUTES) % WEEK_MINUTES);
}
