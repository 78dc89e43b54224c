#include "flow_index.h"

namespace sluice {
namespace {

// Two thirds full when every flow has both its tuples, one third when each has one.
constexpr uint32_t kTuplesPerBucket = 8;

}  // namespace

std::unique_ptr<FlowIndex> FlowIndex::Make(uint32_t tuples) {
  const size_t base = tuples / kTuplesPerBucket + 1;
  const size_t reserve = tuples / FlowBucket::kSlots + 1;
  PrivateMemory memory =
      PrivateMemory::Make((1 + base + reserve) * sizeof(FlowBucket), (1 + base) * sizeof(FlowBucket));
  if (memory.data() == nullptr) return nullptr;
  return std::unique_ptr<FlowIndex>(new FlowIndex(std::move(memory), static_cast<uint32_t>(base)));
}

void FlowIndex::Insert(uint64_t hash, uint32_t tuple) {
  FlowBucket* bucket = &BucketOf(hash);
  while (bucket->next != 0) bucket = &buckets_[bucket->next];
  if (bucket->Free() == 0) {
    bucket->next = TakeBucket();
    bucket = &buckets_[bucket->next];
  }
  bucket->Put(std::countr_zero(bucket->Free()), TagOf(hash), tuple);
}

void FlowIndex::Remove(uint64_t hash, uint32_t tuple) {
  FlowBucket* found = nullptr;
  uint32_t slot = 0;
  FlowBucket* before_last = nullptr;
  FlowBucket* last = &BucketOf(hash);
  for (;; before_last = last, last = &buckets_[last->next]) {
    for (uint32_t slots = last->Match(TagOf(hash)); slots != 0; slots &= slots - 1) {
      if (last->tuple[std::countr_zero(slots)] != tuple) continue;
      found = last;
      slot = std::countr_zero(slots);
    }
    if (last->next == 0) break;
  }
  if (found == nullptr) return;
  // One of the last bucket fills the hole, so that all before it stay full.
  const uint32_t filler = std::countr_zero(last->Taken());
  found->Put(slot, last->tag[filler], last->tuple[filler]);
  last->Put(filler, 0, 0);
  if (last->Taken() == 0 && before_last != nullptr) DropLast(before_last);
}

uint32_t FlowIndex::TakeBucket() {
  ++overflow_;
  if (free_ == 0) return unused_++;
  const uint32_t number = free_;
  free_ = buckets_[number].next;
  buckets_[number].next = 0;
  return number;
}

void FlowIndex::DropLast(FlowBucket* before_last) {
  --overflow_;
  const uint32_t number = before_last->next;
  before_last->next = 0;
  buckets_[number].next = free_;
  free_ = number;
}

}  // namespace sluice
