// Which flows come to another lane than their addresses say: those whose other tuple (NAT's reply direction) has
// addresses of its own. All lanes write and read it at any time, without waiting.
//
// An entry is one word, the key's hash with the lane in its lowest bits. Two keys of 60 equal bits are taken for one.
//
// A packet's later fragments have no ports: they follow its first one. The last 4096 such packets are known, less where
// two have the same place.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "flow_key.h"
#include "fragment_header.h"

namespace sluice {

class Detours {
 public:
  explicit Detours(uint32_t entries);

  // False if there is no room where the key would have to be.
  bool Add(const FlowKey& key, uint32_t lane);
  void Remove(const FlowKey& key, uint32_t lane);
  // The key's lane, or -1.
  int32_t Find(const FlowKey& key) const;

  // Of a packet whose first fragment has come; -1: it takes no detour.
  void NoteFragments(const FragmentKey& key, int32_t lane);
  int32_t FindFragments(const FragmentKey& key) const;
  // Changes when a packet's lane has been noted.
  uint64_t notes() const { return notes_.load(std::memory_order_acquire); }

  // Entries at the moment; fragments do not count.
  uint32_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  using Word = std::atomic<uint64_t>;
  Word* BucketOf(uint64_t word) const;

  static constexpr uint32_t kPackets = 4096;  // a power of two
  const uint64_t mask_;                       // of buckets
  std::unique_ptr<Word[]> words_;
  std::atomic<uint32_t> size_ = 0;
  std::atomic<uint64_t> notes_ = 0;
  std::array<Word, kPackets> packets_{};
};

}  // namespace sluice
