// Which host has which link address, as ports have heard it: bounded, and shared by the lanes of a chain without
// waiting.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "forwarding.h"

namespace sluice {

// Where a host is: what is heard at one port says nothing of another.
struct HostKey {
  AddressBytes address{};
  uint8_t version = 0;
  uint8_t port = 0;
  uint8_t tags = 0;       // as many VLAN tags, of which two count
  uint16_t outer_id = 0;  // VLAN ids
  uint16_t inner_id = 0;

  bool operator==(const HostKey&) const = default;
};

class HostTable {
 public:
  static constexpr uint32_t kCapacity = 8192;
  // Who has not been heard of, nor sent anything, is forgotten.
  static constexpr uint64_t kForgottenNs = 1'200'000'000'000;
  // Who has not been heard of for so long is asked for again while frames go there; until then, only who says so itself
  // (kSure) has moved.
  static constexpr uint64_t kOldNs = 60'000'000'000;

  enum class Hearsay : bool { kUnsure, kSure };

  HostTable();

  // In a full neighbourhood the host goes that has not been heard of, nor sent anything, for the longest time.
  void Learn(const HostKey& key, const MacAddress& mac, uint64_t now_ns, Hearsay hearsay);

  // False: nobody knows. `ask`: it is time to ask for it again, and the caller does.
  bool Find(const HostKey& key, uint64_t now_ns, MacAddress* mac, bool* ask);

 private:
  static constexpr uint32_t kWays = 4;
  using Words = std::array<uint64_t, 4>;  // address, place, link address

  // `sequence` is odd while a lane writes; who finds it so, or changed, goes on as if the slot were not there.
  struct alignas(64) Slot {
    std::atomic<uint32_t> sequence = 0;
    std::array<std::atomic<uint64_t>, 4> words{};  // place 0: free
    std::atomic<uint64_t> heard_ns = 0;
    std::atomic<uint64_t> used_ns = 0;
    std::atomic<uint64_t> asked_ns = 0;

    uint64_t last_ns() const;
    bool Read(Words* words) const;
    bool Write(const Words& words);
  };

  static Words WordsOf(const HostKey& key);
  Slot* NeighbourhoodOf(const Words& words);
  static bool Holds(const Slot& slot, const Words& key, Words* words);

  const std::unique_ptr<Slot[]> slots_;
};

}  // namespace sluice
