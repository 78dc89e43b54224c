#include "twin_nat_ports.h"

#include <bit>

namespace sluice::twin {
namespace {

constexpr uint32_t kPlaces = 256;
/** One bit per port, and one per word of 64 that is full. */
constexpr uint32_t kFullWords = 8192, kSetBytes = 8192 + 128;
constexpr uint32_t kSets = 3, kUdpSet = 1;
constexpr uint64_t kAny = ~0ull, kEven = 0x5555555555555555;

struct Place {
  uint32_t address, ports;
};

}  // namespace

int32_t NatPorts::Find(uint32_t member, uint32_t inside_port, uint32_t start) {
  const uint32_t address = memory_.Load<uint32_t>(tables_.pool + member * 4);
  int32_t& known = places_[member];
  if (memory_.At<Place>(tables_.places)[known].address != address) known = PlaceOf(address);
  place_ = known;
  if (place_ < 0) {
    known = 0;
    return -1;
  }
  const uint64_t wanted = kEven << (inside_port & 1);
  const uint32_t set = SetOf(place_);
  const int32_t found = Scan(set, start, tables_.high_port, wanted);
  return found >= 0 || start == tables_.low_port ? found : Scan(set, tables_.low_port, start - 1, wanted);
}

uint32_t NatPorts::Take(uint32_t port) const {
  const uint32_t set = SetOf(place_);
  uint64_t& word = *memory_.At<uint64_t>(set + (port >> 6) * 8);
  word |= 1ull << (port & 63);
  if (word == kAny) *memory_.At<uint64_t>(set + kFullWords + (port >> 12) * 8) |= 1ull << (port >> 6 & 63);
  ++memory_.At<Place>(tables_.places)[place_].ports;
  return place_;
}

int32_t NatPorts::PlaceOf(uint32_t address) const {
  Place* places = memory_.At<Place>(tables_.places);
  int32_t free = -1;
  for (uint32_t place = 0; place < kPlaces; ++place) {
    if (places[place].address == address) return place;
    if (free < 0 && places[place].ports == 0) free = place;
  }
  if (free >= 0) places[free].address = address;
  return free;
}

uint32_t NatPorts::SetOf(uint32_t place) const { return tables_.port_sets + (place * kSets + kUdpSet) * kSetBytes; }

int32_t NatPorts::Scan(uint32_t set, uint32_t first, uint32_t last, uint64_t wanted) const {
  const uint64_t* ports = memory_.At<uint64_t>(set);
  const uint64_t* full = memory_.At<uint64_t>(set + kFullWords);
  const uint32_t lane = memory_.Context(abi::kContextLane);
  const uint32_t lanes = memory_.Context(abi::kContextLaneCount);
  const uint32_t last_word = last >> 6;
  for (uint32_t word = first >> 6; word <= last_word; ++word) {
    const uint64_t rest = ~full[word >> 6] >> (word & 63);
    if (rest == 0) {
      word |= 63;
      continue;
    }
    word += std::countr_zero(rest);
    if (word > last_word) break;
    if (word % lanes != lane) continue;
    uint64_t free = ~ports[word] & wanted;
    if (word == first >> 6) free &= kAny << (first & 63);
    if (word == last_word) free &= kAny >> (63 - (last & 63));
    if (free != 0) return static_cast<int32_t>(word << 6 | std::countr_zero(free));
  }
  return -1;
}

}  // namespace sluice::twin
