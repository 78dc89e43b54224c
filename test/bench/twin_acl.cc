#include "twin_acl.h"

#include "acl_tables.h"

namespace sluice::twin {
namespace {

using namespace acl;  // NOLINT: the generated constants of nfs/sdk/classifier/tables.ts

constexpr uint8_t kTcp = 6, kIcmpv6 = 58;
constexpr uint16_t kEtherTypeArp = 0x0806;
// In the order in which nfs/acl/policy.ts declares them.
enum Reason : uint16_t { kRule = 1, kDefault, kMalformed, kTinyFragment };

void Drop(Result* result, Reason reason, uint32_t detail = 0) {
  result->verdict = abi::kVerdictDrop;
  result->reason = reason;
  result->value = detail;
}

}  // namespace

void AclTwin::Process() {
  const Batch& batch = memory_.batch();
  const Record* records = memory_.records();
  Result* results = memory_.results();
  const uint32_t* matches = classifier_.Match(records, batch.input, batch.count, nullptr);
  for (uint32_t i = 0; i < batch.count; ++i) Apply(records[batch.input[i]], matches[i], &results[i]);
}

void AclTwin::Apply(const Record& record, uint32_t match, Result* result) const {
  if (record.malformed != 0) {
    Drop(result, kMalformed);
  } else if (record.fragment_offset == 8 && record.ip_proto == kTcp) {
    Drop(result, kTinyFragment);
  } else if (match == classifier_.rule_count()) {
    memory_.Count(unmatched_);
    if (!IsAddressResolution(record)) Drop(result, kDefault);
  } else {
    const uint32_t policy = memory_.Load<uint32_t>(root_, kRootPolicies) + match * 8;
    memory_.Count(memory_.Load<uint32_t>(policy, kPolicyCounter));
    if (memory_.Load<uint32_t>(policy, kPolicyAction) == 0) Drop(result, kRule, match + 1);
  }
}

bool AclTwin::IsAddressResolution(const Record& record) const {
  if (record.ether_type == kEtherTypeArp) return true;
  if (record.ip_proto != kIcmpv6 || record.l4_offset == abi::kOffsetNone || record.ip_version != 6) return false;
  constexpr uint32_t kHopLimit = 7, kSolicitation = 135, kAdvertisement = 136;
  const uint32_t type = record.source_port >> 8;
  const bool is_neighbour = type == kSolicitation || type == kAdvertisement;
  return memory_.Load<uint8_t>(record.frame + record.l3_offset, kHopLimit) == 255 && is_neighbour;
}

}  // namespace sluice::twin
