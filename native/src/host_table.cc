#include "host_table.h"

#include <algorithm>
#include <cstring>

#include "tuple_hash.h"

namespace sluice {
namespace {

enum : size_t { kAddressHigh, kAddressLow, kPlace, kMac };

// A second is fine enough, and spares the cache line when a host gets many frames.
constexpr uint64_t kUseStepNs = 1'000'000'000;

uint64_t WordOf(const MacAddress& mac) {
  uint64_t word = 0;
  std::memcpy(&word, mac.data(), mac.size());
  return word;
}

bool IsPast(uint64_t time_ns, uint64_t span_ns, uint64_t now_ns) {
  return now_ns > time_ns && now_ns - time_ns > span_ns;
}

}  // namespace

HostTable::HostTable() : slots_(std::make_unique<Slot[]>(kCapacity)) {}

uint64_t HostTable::Slot::last_ns() const {
  return std::max(heard_ns.load(std::memory_order_relaxed), used_ns.load(std::memory_order_relaxed));
}

bool HostTable::Slot::Read(Words* read) const {
  const uint32_t before = sequence.load(std::memory_order_acquire);
  for (size_t i = 0; i < words.size(); ++i) (*read)[i] = words[i].load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  return (before & 1) == 0 && sequence.load(std::memory_order_relaxed) == before;
}

// False: another lane is writing it.
bool HostTable::Slot::Write(const Words& written) {
  uint32_t before = sequence.load(std::memory_order_relaxed);
  if ((before & 1) != 0 || !sequence.compare_exchange_strong(before, before + 1, std::memory_order_acquire))
    return false;
  std::atomic_thread_fence(std::memory_order_release);
  for (size_t i = 0; i < words.size(); ++i) words[i].store(written[i], std::memory_order_relaxed);
  sequence.store(before + 2, std::memory_order_release);
  return true;
}

HostTable::Words HostTable::WordsOf(const HostKey& key) {
  Words words{};
  std::memcpy(&words[kAddressHigh], key.address.data(), 8);
  std::memcpy(&words[kAddressLow], key.address.data() + 8, 8);
  words[kPlace] = uint64_t{key.version} | uint64_t{key.port} << 8 | uint64_t{key.tags} << 16 |
                  uint64_t{key.outer_id} << 24 | uint64_t{key.inner_id} << 40;
  return words;
}

HostTable::Slot* HostTable::NeighbourhoodOf(const Words& key) {
  const uint64_t hash = MixHash(MixHash(MixHash(key[kAddressHigh]) + key[kAddressLow]) + key[kPlace]);
  return &slots_[(hash >> 40) % (kCapacity / kWays) * kWays];
}

bool HostTable::Holds(const Slot& slot, const Words& key, Words* words) {
  return slot.Read(words) && std::equal(key.begin(), key.begin() + kMac, words->begin());
}

void HostTable::Learn(const HostKey& key, const MacAddress& mac, uint64_t now_ns, Hearsay hearsay) {
  Words learned = WordsOf(key), words;
  learned[kMac] = WordOf(mac);
  Slot* const first = NeighbourhoodOf(learned);
  Slot* place = first;
  for (Slot* slot = first; slot < first + kWays; ++slot) {
    if (Holds(*slot, learned, &words)) {
      const bool is_old = IsPast(slot->heard_ns.load(std::memory_order_relaxed), kOldNs, now_ns);
      const bool is_same = words[kMac] == learned[kMac];
      if (!is_same && hearsay == Hearsay::kUnsure && !is_old) return;
      if (is_same || slot->Write(learned)) slot->heard_ns.store(now_ns, std::memory_order_relaxed);
      return;
    }
    if (slot->last_ns() < place->last_ns()) place = slot;
  }
  if (!place->Write(learned)) return;
  place->heard_ns.store(now_ns, std::memory_order_relaxed);
  place->used_ns.store(0, std::memory_order_relaxed);
  place->asked_ns.store(0, std::memory_order_relaxed);
}

bool HostTable::Find(const HostKey& key, uint64_t now_ns, MacAddress* mac, bool* ask) {
  const Words wanted = WordsOf(key);
  Words words;
  *ask = false;
  Slot* const first = NeighbourhoodOf(wanted);
  for (Slot* slot = first; slot < first + kWays; ++slot) {
    if (!Holds(*slot, wanted, &words)) continue;
    if (IsPast(slot->last_ns(), kForgottenNs, now_ns)) return false;
    if (IsPast(slot->used_ns.load(std::memory_order_relaxed), kUseStepNs, now_ns)) {
      slot->used_ns.store(now_ns, std::memory_order_relaxed);
      const bool is_old = IsPast(slot->heard_ns.load(std::memory_order_relaxed), kOldNs, now_ns);
      *ask = is_old && IsPast(slot->asked_ns.load(std::memory_order_relaxed), kOldNs, now_ns);
      if (*ask) slot->asked_ns.store(now_ns, std::memory_order_relaxed);
    }
    std::memcpy(mac->data(), &words[kMac], mac->size());
    return true;
  }
  return false;
}

}  // namespace sluice
