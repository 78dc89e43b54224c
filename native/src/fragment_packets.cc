#include "fragment_packets.h"

#include <bit>
#include <cstring>

#include "sip_hash.h"

namespace sluice {

FragmentPackets::FragmentPackets(uint32_t packets, uint32_t ranges_per_packet, uint64_t seed)
    : ranges_per_packet_(ranges_per_packet),
      seed_(seed),
      packets_(packets),
      ranges_(uint64_t{packets} * ranges_per_packet),
      buckets_(std::bit_ceil(uint64_t{packets} * 2 + 1), kNoIndex) {
  for (uint32_t index = 0; index < packets; ++index) Append(FragmentStage::kFree, index, 0);
}

uint32_t FragmentPackets::Find(const FragmentKey& key) const {
  uint32_t index = buckets_[BucketOf(key)];
  while (index != kNoIndex && std::memcmp(&packets_[index].key, &key, sizeof(key)) != 0) {
    index = packets_[index].next_in_bucket;
  }
  return index;
}

uint32_t FragmentPackets::Insert(const FragmentKey& key, uint64_t deadline_ns) {
  const uint32_t index = First(FragmentStage::kFree);
  if (index == kNoIndex) return kNoIndex;
  Remove(index);
  uint32_t& bucket = buckets_[BucketOf(key)];
  packets_[index] = {.key = key, .next_in_bucket = bucket};
  bucket = index;
  Append(FragmentStage::kWaiting, index, deadline_ns);
  return index;
}

void FragmentPackets::Erase(uint32_t index) {
  uint32_t* link = &buckets_[BucketOf(packets_[index].key)];
  while (*link != index) link = &packets_[*link].next_in_bucket;
  *link = packets_[index].next_in_bucket;
  MoveTo(FragmentStage::kFree, index, 0);
}

void FragmentPackets::MoveTo(FragmentStage stage, uint32_t index, uint64_t deadline_ns) {
  Remove(index);
  Append(stage, index, deadline_ns);
}

uint64_t FragmentPackets::FirstDeadline(FragmentStage stage) const {
  const uint32_t first = First(stage);
  return first == kNoIndex ? UINT64_MAX : packets_[first].deadline_ns;
}

std::span<FragmentRange> FragmentPackets::RangesOf(uint32_t index) {
  return {ranges_.data() + uint64_t{index} * ranges_per_packet_, packets_[index].range_count};
}

void FragmentPackets::AddRange(uint32_t index, const FragmentRange& range) {
  ranges_[uint64_t{index} * ranges_per_packet_ + packets_[index].range_count++] = range;
}

size_t FragmentPackets::BucketOf(const FragmentKey& key) const {
  const uint64_t hash = SipHash({reinterpret_cast<const uint8_t*>(&key), sizeof(key)}, seed_);
  return hash & (buckets_.size() - 1);
}

void FragmentPackets::Append(FragmentStage stage, uint32_t index, uint64_t deadline_ns) {
  List& list = ListOf(stage);
  FragmentedPacket& packet = packets_[index];
  packet.stage = stage;
  packet.deadline_ns = deadline_ns;
  packet.before_in_stage = list.last;
  packet.after_in_stage = kNoIndex;
  (list.last == kNoIndex ? list.first : packets_[list.last].after_in_stage) = index;
  list.last = index;
}

void FragmentPackets::Remove(uint32_t index) {
  const uint32_t before = packets_[index].before_in_stage, after = packets_[index].after_in_stage;
  List& list = ListOf(packets_[index].stage);
  (before == kNoIndex ? list.first : packets_[before].after_in_stage) = after;
  (after == kNoIndex ? list.last : packets_[after].before_in_stage) = before;
}

}  // namespace sluice
