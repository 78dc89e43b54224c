#include "forwarding.h"

#include <bit>
#include <cstring>

namespace sluice {

NeighbourTable::NeighbourTable(const std::vector<Neighbour>& neighbours)
    : mask_(std::bit_ceil(static_cast<uint32_t>(neighbours.size()) * 2 + 2) - 1),
      slots_(std::make_unique<Slot[]>(mask_ + 1)) {
  for (const Neighbour& neighbour : neighbours) {
    uint32_t place = PlaceOf(neighbour.ifindex, neighbour.version, neighbour.address.data());
    while (slots_[place].neighbour.ifindex != 0) place = (place + 1) & mask_;
    slots_[place].neighbour = neighbour;
  }
}

uint32_t NeighbourTable::PlaceOf(int ifindex, uint8_t version, const uint8_t* address) const {
  uint64_t hash = static_cast<uint64_t>(ifindex) * 0x9e3779b97f4a7c15;
  for (uint32_t i = 0; i < AddressLength(version); i += 4) {
    uint32_t word;
    std::memcpy(&word, address + i, sizeof(word));
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  return static_cast<uint32_t>(hash) & mask_;
}

const MacAddress* NeighbourTable::Find(int ifindex, uint8_t version, const uint8_t* address) const {
  for (uint32_t place = PlaceOf(ifindex, version, address);; place = (place + 1) & mask_) {
    const Slot& slot = slots_[place];
    if (slot.neighbour.ifindex == 0) return nullptr;
    if (slot.neighbour.ifindex != ifindex || slot.neighbour.version != version) continue;
    if (std::memcmp(slot.neighbour.address.data(), address, AddressLength(version)) != 0) continue;
    if (!slot.is_used.load(std::memory_order_relaxed)) slot.is_used.store(true, std::memory_order_relaxed);
    return &slot.neighbour.mac;
  }
}

std::vector<Neighbour> NeighbourTable::TakeUsed() const {
  std::vector<Neighbour> used;
  for (uint32_t place = 0; place <= mask_; ++place) {
    if (slots_[place].is_used.exchange(false, std::memory_order_relaxed)) used.push_back(slots_[place].neighbour);
  }
  return used;
}

}  // namespace sluice
