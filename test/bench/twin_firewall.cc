#include "twin_firewall.h"

namespace sluice::twin {
namespace {

constexpr uint8_t kUdp = 17;
constexpr uint32_t kIpv4Source = 12, kIpv4Destination = 16;
constexpr uint32_t kOutOfTheWay = abi::kEventIcmpError | abi::kEventInvalid;
// A decision: nfs/firewall/decisions.ts.
constexpr uint64_t kAccepted = 0x8000;
constexpr uint32_t kOutcomeMask = 0x7fff;
// As nfs/firewall/states.ts has them.
enum State : uint16_t { kNew, kEstablished, kUntracked, kRelated, kInvalid };

constexpr uint64_t kMinuteNs = 60'000'000'000;
constexpr uint64_t kWeekMinutes = 7 * 24 * 60;
/** 1970 began on a Thursday. */
constexpr uint64_t kEpochMinutes = 3 * 24 * 60;

void Drop(Result* result) { result->verdict = abi::kVerdictDrop; }

uint32_t FromZone(uint64_t decision) { return static_cast<uint32_t>(decision) >> 16 & 0xff; }
uint32_t ToZone(uint64_t decision) { return static_cast<uint32_t>(decision) >> 24; }
bool IsOpposed(const Record& record, uint64_t decision) { return record.direction == 1 && (decision & kAccepted) == 0; }

}  // namespace

FirewallTwin::FirewallTwin(TwinMemory memory, uint32_t tables)
    : memory_(memory),
      tables_(memory.Load<FirewallTables>(tables)),
      classifier_(memory, tables_.classifier),
      generation_(memory.Load<uint32_t>(tables_.configuration)) {}

void FirewallTwin::Process() {
  const Batch& batch = memory_.batch();
  const Record* records = memory_.records();
  Result* results = memory_.results();
  seconds_ = batch.time_ns / 1'000'000'000;
  minute_ = static_cast<uint16_t>((batch.time_ns / kMinuteNs + kEpochMinutes) % kWeekMinutes);
  pending_ = 0;
  const uint32_t count = batch.count;
  for (uint32_t i = 0; i < count; ++i) Judge(records[batch.input[i]], i, &results[i]);
  if (pending_ == 0) return;
  const uint32_t* matches = classifier_.Match(records_, input_, pending_, contexts_);
  for (uint32_t i = 0; i < pending_; ++i) {
    const uint32_t place = places_[i];
    Settle(records[batch.input[place]], i, matches[i], &results[place]);
  }
}

void FirewallTwin::Judge(const Record& record, uint32_t place, Result* result) {
  if (IpVersion(record) != 4 || record.l3_offset == abi::kOffsetNone || record.ip_proto != kUdp ||
      (record.flags & abi::kRecordFlagOptions) != 0) {
    return Drop(result);
  }
  const uint32_t header = record.frame + record.l3_offset;
  const uint32_t source = __builtin_bswap32(memory_.Load<uint32_t>(header, kIpv4Source));
  const uint32_t destination = __builtin_bswap32(memory_.Load<uint32_t>(header, kIpv4Destination));
  if (source == destination || source >= 0xe0000000 || source >> 24 == 127) return Drop(result);
  if (record.flow != 0 && (record.events & kOutOfTheWay) == 0) {
    const uint64_t decision = *DecisionOf(record);
    if (decision >> 32 == generation_ && !IsOpposed(record, decision)) return Follow(record, decision, result);
  }
  JudgeAnew(record, place, result);
}

void FirewallTwin::Follow(const Record& record, uint64_t decision, Result* result) {
  const uint32_t expected = record.direction == 0 ? FromZone(decision) : ToZone(decision);
  const uint32_t ingress = zones_.Ingress(record);
  if (expected != ingress && expected != 0 && ingress != 0) return Drop(result);
  CarryOut(record, OutcomeAt((static_cast<uint32_t>(decision) & kOutcomeMask) - 1), result);
}

void FirewallTwin::JudgeAnew(const Record& record, uint32_t place, Result* result) {
  const uint32_t header = record.frame + record.l3_offset;
  const uint32_t source = __builtin_bswap32(memory_.Load<uint32_t>(header, kIpv4Source));
  const uint32_t ingress = zones_.Ingress(record);
  if (zones_.IsSpoofed(source, ingress)) return Drop(result);
  const uint64_t decision = record.flow != 0 ? *DecisionOf(record) : 0;
  const bool is_opposite = decision >> 32 == generation_ && IsOpposed(record, decision);
  const uint32_t state = StateOf(record, is_opposite);
  const bool is_reply = record.flow != 0 && record.direction == 1 && !is_opposite && state <= kEstablished;
  // An error, or of a flow that an earlier configuration has decided about, or not seen to begin.
  if (state == kRelated || is_reply || (decision != 0 && !is_opposite)) return Drop(result);
  const uint32_t from = ingress != 0 ? ingress : zones_.Of(source);
  const uint32_t to = zones_.Egress(record, __builtin_bswap32(memory_.Load<uint32_t>(header, kIpv4Destination)));
  Add(record, place, {{static_cast<uint16_t>(from), static_cast<uint16_t>(to), static_cast<uint16_t>(state), minute_}});
}

void FirewallTwin::Add(const Record& record, uint32_t place, const ClassifierTwin::Context& context) {
  const uint32_t index = pending_++;
  records_[index] = record;
  input_[index] = static_cast<uint16_t>(index);
  places_[index] = static_cast<uint8_t>(place);
  contexts_[index] = context;
}

uint32_t FirewallTwin::StateOf(const Record& record, bool is_opposite) const {
  if ((record.events & abi::kEventIcmpError) != 0) return kRelated;
  if ((record.events & abi::kEventInvalid) != 0) return kInvalid;
  if (record.flow == 0) return kUntracked;
  if (is_opposite || (record.events & abi::kEventStart) != 0) return kNew;
  const uint32_t flags = memory_.Load<uint8_t>(tables_.flows + record.flow * abi::kFlowBytes, abi::kFlowFlags);
  return record.direction == 1 || (flags & abi::kFlowFlagReplied) != 0 ? kEstablished : kNew;
}

void FirewallTwin::Settle(const Record& record, uint32_t index, uint32_t match, Result* result) {
  const uint32_t state = contexts_[index].values[2];
  const bool is_of_flow = record.flow != 0 && state <= kEstablished;
  // An earlier packet of this batch began the flow.
  const uint64_t decision = is_of_flow ? *DecisionOf(record) : 0;
  const bool is_current = is_of_flow && decision >> 32 == generation_;
  if (is_current && !IsOpposed(record, decision)) return Follow(record, decision, result);
  const bool has_rule = match != classifier_.rule_count();
  if (!has_rule && state == kInvalid) return Drop(result);
  const uint32_t number = has_rule ? match : tables_.default_outcome;
  const Outcome& outcome = OutcomeAt(number);
  if (!outcome.is_plain) return Drop(result);
  if (is_of_flow && (!is_current || outcome.accepts != 0)) {
    const uint64_t from = contexts_[index].values[is_current ? 1 : 0];
    const uint64_t to = contexts_[index].values[is_current ? 0 : 1];
    const uint64_t accepted = outcome.accepts != 0 ? kAccepted : 0;
    *DecisionOf(record) = generation_ << 32 | from << 16 | to << 24 | accepted | (number + 1);
  }
  CarryOut(record, outcome, result);
}

void FirewallTwin::CarryOut(const Record& record, const Outcome& outcome, Result* result) const {
  if (!outcome.is_plain) return Drop(result);
  memory_.Count(outcome.packets);
  memory_.Count(outcome.bytes, record.wire_length);
  *memory_.At<uint64_t>(outcome.last_hit) = seconds_;
  if (outcome.accepts == 0) Drop(result);
}

uint64_t* FirewallTwin::DecisionOf(const Record& record) const {
  return memory_.At<uint64_t>(tables_.decisions + record.flow * sizeof(uint64_t));
}

const FirewallTwin::Outcome& FirewallTwin::OutcomeAt(uint32_t number) const {
  return *memory_.At<Outcome>(tables_.outcomes + number * sizeof(Outcome));
}

}  // namespace sluice::twin
