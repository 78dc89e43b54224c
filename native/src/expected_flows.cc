#include "expected_flows.h"

#include <cstring>

namespace sluice {
namespace {

constexpr uint8_t kAny[16] = {};

bool IsSameAddress(const uint8_t* one, const uint8_t* other) { return std::memcmp(one, other, sizeof(kAny)) == 0; }

bool IsSame(const ExpectedFlow& one, const ExpectedFlow& other) {
  return one.ip_proto == other.ip_proto && one.ip_version == other.ip_version && one.zone == other.zone &&
         one.vlan == other.vlan && one.endpoints.destination_port == other.endpoints.destination_port &&
         one.endpoints.source_port == other.endpoints.source_port &&
         IsSameAddress(one.endpoints.destination, other.endpoints.destination) &&
         IsSameAddress(one.endpoints.source, other.endpoints.source);
}

bool Fits(const ExpectedFlow& expected, const FlowKey& key, uint8_t side) {
  const Endpoints& endpoints = expected.endpoints;
  return expected.ip_proto == key.ip_proto && expected.ip_version == key.ip_version && expected.zone == key.zone &&
         expected.vlan == key.vlan && endpoints.destination_port == key.port[side ^ 1] &&
         (endpoints.source_port == 0 || endpoints.source_port == key.port[side]) &&
         IsSameAddress(endpoints.destination, key.address[side ^ 1]) &&
         (IsSameAddress(endpoints.source, kAny) || IsSameAddress(endpoints.source, key.address[side]));
}

}  // namespace

ExpectedFlows::ExpectedFlows()
    : entries_(std::make_unique<Entry[]>(kCapacity + 1)), buckets_(std::make_unique<uint32_t[]>(kBuckets)) {}

uint32_t* ExpectedFlows::BucketOf(const uint8_t* destination, uint16_t port, uint8_t ip_proto) {
  uint64_t halves[2];
  std::memcpy(halves, destination, sizeof(halves));
  uint64_t hash = (halves[0] ^ (uint64_t{port} << 8 | ip_proto)) * 0x9e3779b97f4a7c15;
  hash = (hash ^ hash >> 32 ^ halves[1]) * 0xd6e8feb86659fd93;
  return &buckets_[(hash >> 40) % kBuckets];
}

bool ExpectedFlows::Add(const ExpectedFlow& expected, uint64_t now_ns) {
  const Endpoints& endpoints = expected.endpoints;
  uint32_t* const bucket = BucketOf(endpoints.destination, endpoints.destination_port, expected.ip_proto);
  for (uint32_t at = *bucket; at != 0; at = entries_[at].next) {
    if (!IsSame(entries_[at].expected, expected)) continue;
    entries_[at].expected.deadline_ns = expected.deadline_ns;
    return true;
  }
  if (count_ == kCapacity) FreeOverdue(now_ns);
  if (count_ == kCapacity) return false;
  const uint32_t taken = free_ != 0 ? free_ : ++used_;
  if (taken == free_) free_ = entries_[taken].next;
  entries_[taken] = {expected, *bucket};
  *bucket = taken;
  ++count_;
  return true;
}

bool ExpectedFlows::Take(const FlowKey& key, uint8_t side, uint64_t now_ns) {
  uint32_t* link = BucketOf(key.address[side ^ 1], key.port[side ^ 1], key.ip_proto);
  while (*link != 0) {
    const bool overdue = entries_[*link].expected.deadline_ns <= now_ns;
    const bool fits = Fits(entries_[*link].expected, key, side);
    if (overdue || fits) Free(link);
    if (fits && !overdue) return true;
    if (!overdue) link = &entries_[*link].next;
  }
  return false;
}

void ExpectedFlows::Free(uint32_t* link) {
  const uint32_t freed = *link;
  *link = entries_[freed].next;
  entries_[freed].next = free_;
  free_ = freed;
  --count_;
}

void ExpectedFlows::FreeOverdue(uint64_t now_ns) {
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    uint32_t* link = &buckets_[bucket];
    while (*link != 0) {
      if (entries_[*link].expected.deadline_ns <= now_ns) {
        Free(link);
      } else {
        link = &entries_[*link].next;
      }
    }
  }
}

}  // namespace sluice
