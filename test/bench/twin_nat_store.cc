#include "twin_nat_store.h"

namespace sluice::twin {
namespace {

constexpr uint32_t kBuckets = 65536;

/** Of a slab's entries: how many were ever used, the first that was given back, how many are in use. */
struct SlabHead {
  uint32_t used, free, live;
};

}  // namespace

NatStore::NatStore(TwinMemory memory, const NatTables& tables)
    : memory_(memory), tables_(tables), seed_(memory.Load<uint64_t>(abi::kContextAddress, abi::kContextSeed)) {}

uint32_t NatStore::Take(const SlabTables& slab) const {
  SlabHead* head = memory_.At<SlabHead>(slab.head);
  uint32_t entry = head->free;
  if (entry != 0) {
    head->free = *At<uint32_t>(entry);
  } else {
    if (head->used == slab.capacity) return 0;
    entry = slab.first - tables_.base + head->used++ * slab.bytes;
  }
  std::memset(At<uint8_t>(entry), 0, slab.bytes);
  *memory_.At<uint64_t>(slab.level) = ++head->live;
  return entry;
}

uint32_t NatStore::BucketOf(uint32_t buckets, uint64_t first, uint64_t second) const {
  Header* header = memory_.At<Header>(tables_.header);
  if (header->secret == 0) header->secret = (seed_ ^ 0x9e3779b97f4a7c15) | 1;
  uint64_t hash = (first ^ header->secret) * 0x9e3779b97f4a7c15;
  hash = (hash ^ (hash >> 32) ^ second) * 0xd6e8feb86659fd93;
  hash = (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15;
  return buckets + (static_cast<uint32_t>(hash >> 40) & (kBuckets - 1)) * 4;
}

void NatStore::Link(uint32_t bucket, uint32_t reference, uint32_t* next) const {
  *next = memory_.Load<uint32_t>(bucket);
  *memory_.At<uint32_t>(bucket) = reference;
}

uint32_t NatStore::Random(uint32_t limit) const {
  Header* header = memory_.At<Header>(tables_.header);
  uint64_t state = header->random;
  if (state == 0) state = (seed_ * 0xd6e8feb86659fd93) | 1;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  header->random = state;
  return static_cast<uint32_t>(state * 0x2545f4914f6cdd1d >> 32) % limit;
}

}  // namespace sluice::twin
