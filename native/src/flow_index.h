// From a hash to the tuples that may have it. Memory of this process alone, built anew from the tuples when a table is
// taken over: nothing that a process left half done in it can outlive the process.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>

#include "flow_bucket.h"
#include "private_memory.h"

namespace sluice {

// A bucket that is full goes on in another. All but the last of such a row are full, so rows never need more buckets
// than the tuples fill, and the reserve for that is address space until it is used.
class FlowIndex {
 public:
  // Null if there is no memory.
  static std::unique_ptr<FlowIndex> Make(uint32_t tuples);

  void Prefetch(uint64_t hash) const { __builtin_prefetch(&BucketOf(hash)); }

  // The first tuple with the hash's tag in its first bucket, or 0. `more` if there may be others.
  uint32_t First(uint64_t hash, bool* more) const {
    const FlowBucket& bucket = BucketOf(hash);
    const uint32_t slots = bucket.Match(TagOf(hash));
    *more = (slots & (slots - 1)) != 0 || bucket.next != 0;
    return slots == 0 ? 0 : bucket.tuple[std::countr_zero(slots)];
  }

  // The tuple with the hash's tag for which is_it(tuple) holds, or 0.
  template <typename Predicate>
  uint32_t Search(uint64_t hash, Predicate is_it) const {
    for (const FlowBucket* bucket = &BucketOf(hash);; bucket = &buckets_[bucket->next]) {
      for (uint32_t slots = bucket->Match(TagOf(hash)); slots != 0; slots &= slots - 1) {
        const uint32_t tuple = bucket->tuple[std::countr_zero(slots)];
        if (is_it(tuple)) return tuple;
      }
      if (bucket->next == 0) return 0;
    }
  }

  // At most as many as Make was told.
  void Insert(uint64_t hash, uint32_t tuple);
  // Nothing if it is not there.
  void Remove(uint64_t hash, uint32_t tuple);

  // Buckets beyond the first of their row: how uneven the hash is.
  uint32_t overflow_buckets() const { return overflow_; }

 private:
  FlowIndex(PrivateMemory memory, uint32_t base)
      : memory_(std::move(memory)),
        buckets_(static_cast<FlowBucket*>(memory_.data())),
        base_(base),
        unused_(base + 1) {}

  // Bucket 0 is none. The hash's upper half chooses the bucket, its lowest byte is the tag.
  FlowBucket& BucketOf(uint64_t hash) const { return buckets_[1 + ((hash >> 32) * base_ >> 32)]; }
  static uint8_t TagOf(uint64_t hash) {
    const auto tag = static_cast<uint8_t>(hash);
    return tag == 0 ? 1 : tag;
  }
  uint32_t TakeBucket();
  void DropLast(FlowBucket* before_last);

  const PrivateMemory memory_;
  FlowBucket* const buckets_;
  const uint32_t base_;  // buckets that hashes choose from
  uint32_t unused_;      // the first bucket of the reserve that was never used
  uint32_t free_ = 0;    // buckets of the reserve that were given back, linked by `next`
  uint32_t overflow_ = 0;
};

}  // namespace sluice
