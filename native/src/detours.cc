#include "detours.h"

#include <algorithm>
#include <bit>

#include "tuple_hash.h"

namespace sluice {
namespace {

constexpr uint32_t kBucket = 16;  // two cache lines
constexpr uint64_t kLaneMask = 0xf;

// Never 0.
uint64_t EntryOf(uint64_t hash, uint32_t lane) {
  hash ^= hash >> 29;
  return ((hash | uint64_t{1} << 63) & ~kLaneMask) | lane;
}

// Of what a frame on any port says: zone, VLAN and quotation are left out.
uint64_t WordOf(const FlowKey& key, uint32_t lane) {
  uint64_t hash = MixHash(key.ip_proto | uint64_t{key.ip_version} << 8);
  for (int end = 0; end < 2; ++end) {
    hash = MixHash(hash ^ LoadLittle64(key.address[end]));
    hash = MixHash(hash ^ LoadLittle64(key.address[end] + 8));
    hash = MixHash(hash ^ key.port[end]);
  }
  return EntryOf(hash, lane);
}

uint64_t WordOf(const FragmentKey& key, uint32_t lane) {
  uint64_t hash = 0;
  for (uint32_t at = 0; at < sizeof(key); at += 8) {
    hash = MixHash(hash ^ LoadLittle64(reinterpret_cast<const uint8_t*>(&key) + at));
  }
  return EntryOf(hash, lane);
}

}  // namespace

Detours::Detours(uint32_t entries)
    : mask_(std::bit_ceil(std::max<uint64_t>(1, uint64_t{entries} * 2 / kBucket)) - 1),
      words_(std::make_unique<Word[]>((mask_ + 1) * kBucket)) {}

Detours::Word* Detours::BucketOf(uint64_t word) const { return &words_[((word >> 8) & mask_) * kBucket]; }

bool Detours::Add(const FlowKey& key, uint32_t lane) {
  const uint64_t word = WordOf(key, lane);
  Word* bucket = BucketOf(word);
  for (uint32_t i = 0; i < kBucket; ++i) {
    uint64_t found = bucket[i].load(std::memory_order_relaxed);
    if (found == word) return true;
    if (found != 0 || !bucket[i].compare_exchange_strong(found, word, std::memory_order_release)) continue;
    size_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  return false;
}

void Detours::Remove(const FlowKey& key, uint32_t lane) {
  uint64_t word = WordOf(key, lane);
  Word* bucket = BucketOf(word);
  for (uint32_t i = 0; i < kBucket; ++i) {
    uint64_t found = word;
    if (!bucket[i].compare_exchange_strong(found, 0, std::memory_order_relaxed)) continue;
    size_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
}

int32_t Detours::Find(const FlowKey& key) const {
  const uint64_t word = WordOf(key, 0);
  const Word* bucket = BucketOf(word);
  for (uint32_t i = 0; i < kBucket; ++i) {
    const uint64_t found = bucket[i].load(std::memory_order_acquire);
    if ((found & ~kLaneMask) == word) return static_cast<int32_t>(found & kLaneMask);
  }
  return -1;
}

void Detours::NoteFragments(const FragmentKey& key, int32_t lane) {
  const uint64_t word = WordOf(key, 0);
  Word& place = packets_[(word >> 8) % kPackets];
  const bool is_known = (place.load(std::memory_order_relaxed) & ~kLaneMask) == word;
  if (lane >= 0) {
    place.store(word | static_cast<uint32_t>(lane), std::memory_order_relaxed);
    notes_.fetch_add(1, std::memory_order_release);
  } else if (is_known) {  // an earlier packet's
    place.store(0, std::memory_order_relaxed);
  }
}

int32_t Detours::FindFragments(const FragmentKey& key) const {
  const uint64_t word = WordOf(key, 0);
  const uint64_t found = packets_[(word >> 8) % kPackets].load(std::memory_order_relaxed);
  return (found & ~kLaneMask) == word ? static_cast<int32_t>(found & kLaneMask) : -1;
}

}  // namespace sluice
