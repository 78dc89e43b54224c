#include "flow_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kMagic = 0x31574f4c46455355;  // "USEFLOW1"

// Changes with every meaning of a byte in the file, the TCP tracker's own included.
constexpr uint64_t kLayoutVersion = 2;
constexpr uint64_t kLayout = kLayoutVersion << 32 | sizeof(FlowTuple) << 16 | sizeof(FlowState);

// As many as timeouts are kept for (FlowTimeouts::tcp).
constexpr uint8_t kStates = 16;

// Memory of the file is taken for so many flows at once: quicker than a page fault for each page, and pages that lie
// beside each other share address translations.
constexpr uint32_t kBlockFlows = 512;

uint64_t WholePages(uint64_t bytes) { return (bytes + kPageBytes - 1) & ~(kPageBytes - 1); }

// Whole pages are given back to the file system, which is quicker than writing zeros and leaves holes.
void Clear(uint8_t* begin, uint8_t* end) {
  const auto address = [](uint8_t* at) { return reinterpret_cast<uintptr_t>(at); };
  uint8_t* const first_page = begin + (WholePages(address(begin)) - address(begin));
  uint8_t* const last_page = end - address(end) % kPageBytes;
  if (first_page < last_page && madvise(first_page, last_page - first_page, MADV_REMOVE) == 0) {
    std::memset(begin, 0, first_page - begin);
    std::memset(last_page, 0, end - last_page);
  } else {
    std::memset(begin, 0, end - begin);
  }
}

template <typename Entry>
void Populate(Entry* first, uint32_t count) {
  const auto begin = reinterpret_cast<uintptr_t>(first), end = reinterpret_cast<uintptr_t>(first + count);
  const uintptr_t page = begin & ~(kPageBytes - 1);
  madvise(reinterpret_cast<void*>(page), end - page, MADV_POPULATE_WRITE);  // a wish
}

}  // namespace

uint64_t FlowFile::StatesOffset(uint32_t capacity) {
  return kPageBytes + WholePages(2 * (uint64_t{capacity} + 1) * sizeof(FlowTuple));
}

uint64_t FlowFile::BytesFor(uint32_t capacity) {
  return StatesOffset(capacity) + WholePages((uint64_t{capacity} + 1) * sizeof(FlowState));
}

FlowFile::FlowFile(std::span<uint8_t> memory, uint32_t capacity)
    : memory_(memory),
      capacity_(capacity),
      header_(reinterpret_cast<FlowFileHeader*>(memory.data())),
      tuples_(reinterpret_cast<FlowTuple*>(memory.data() + kPageBytes)),
      states_(reinterpret_cast<FlowState*>(memory.data() + StatesOffset(capacity))) {}

bool FlowFile::IsFormatted() const {
  return header_->magic == kMagic && header_->layout == kLayout && header_->capacity == capacity_;
}

void FlowFile::Format(uint64_t seed) {
  StoreOrdered(header_->magic, 0);
  Clear(memory_.data() + kPageBytes, memory_.data() + BytesFor(capacity_));
  header_->layout = kLayout;
  header_->capacity = capacity_;
  header_->seed = seed;
  header_->used = 0;
  StoreOrdered(header_->magic, kMagic);
}

void FlowFile::Trim() {
  if (header_->used > capacity_) header_->used = capacity_;
  tuples_[0] = {};
  states_[0] = {};
  const auto clear_from = [](auto* array, uint32_t first, uint32_t end) {
    if (first < end) Clear(reinterpret_cast<uint8_t*>(array + first), reinterpret_cast<uint8_t*>(array + end));
  };
  clear_from(tuples_, used() + 1, second_base());
  clear_from(tuples_ + second_base(), used() + 1, second_base());
  clear_from(states_, used() + 1, second_base());
}

void FlowFile::RaiseUsed(uint32_t flow) {
  StoreOrdered(header_->used, flow);
  if (flow % kBlockFlows != 1) return;
  const uint32_t count = std::min(kBlockFlows, capacity_ + 1 - flow);
  Populate(tuples_ + flow, count);
  Populate(states_ + flow, count);
}

bool FlowFile::IsWholeTuple(uint32_t number, const FlowHash& hash) const {
  const FlowTuple& tuple = tuples_[number];
  if ((tuple.word & ~kTupleBound) != WordOf(hash(tuple.key), tuple.side())) return false;
  return tuple.key.ip_version == 4 || tuple.key.ip_version == 6;
}

bool FlowFile::IsWholeFlow(uint32_t flow, const FlowHash& hash) const {
  if (!IsWholeTuple(flow, hash)) return false;
  const FlowState& state = states_[flow];
  const FlowKey& key = tuples_[flow].key;
  return state.state != 0 && state.state < kStates && state.ip_proto == key.ip_proto &&
         state.ip_version == key.ip_version && state.zone == key.zone && state.vlan == key.vlan &&
         state.first_side == tuples_[flow].side();
}

bool FlowFile::Erase(uint32_t flow) {
  FlowTuple& first = tuples_[flow];
  const bool anything = first.word != 0 || states_[flow].state != 0;
  if (!anything) return false;
  StoreOrdered(first.word, kTupleChanging);
  states_[flow].state = 0;
  StoreOrdered(first.word, 0);
  return true;
}

}  // namespace sluice
