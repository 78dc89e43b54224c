#include "flow_copy.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "flow_file.h"

namespace sluice {
namespace {

// So that the lane meets no page fault: pages of flows that were in use are there in any case.
void MapIn(const void* begin, uint64_t bytes) {
  constexpr uintptr_t kPage = 4096;
  const auto start = reinterpret_cast<uintptr_t>(begin) & ~(kPage - 1);
  madvise(reinterpret_cast<void*>(start), reinterpret_cast<uintptr_t>(begin) + bytes - start, MADV_POPULATE_READ);
}

}  // namespace

std::unique_ptr<FlowCopy> FlowCopy::Open(const std::string& path, std::shared_ptr<Segment> to, uint32_t capacity,
                                         SystemError* error) {
  std::shared_ptr<Segment> from = Segment::Attach(path, error);
  if (!from) return nullptr;
  const uint64_t bytes = FlowFile::BytesFor(capacity);
  if (from->bytes() < bytes || to->bytes() < bytes) {
    *error = {"mmap", path, EINVAL};
    return nullptr;
  }
  const uint64_t notes = uint64_t{capacity} / TouchedFlows::kBlockFlows + 1;
  auto touched = PrivateMemory::Make(notes, notes);
  if (touched.data() == nullptr) {
    *error = {"mmap", path, ENOMEM};
    return nullptr;
  }
  auto copy = std::unique_ptr<FlowCopy>(new FlowCopy(std::move(from), to, std::move(touched), capacity));
  *error = copy->all_.Add(path, std::move(to));
  return *error ? nullptr : std::move(copy);
}

FlowCopy::FlowCopy(std::shared_ptr<Segment> from, std::shared_ptr<Segment> to, PrivateMemory touched, uint32_t capacity)
    : from_(std::move(from)), to_(std::move(to)), capacity_(capacity), touched_(std::move(touched), capacity) {}

int FlowCopy::CopyAll() {
  const FlowFile file({from_->data(), from_->bytes()}, capacity_);
  const uint64_t flows = std::min(file.used(), capacity_) + uint64_t{1};
  MapIn(&file.tuple(0), flows * sizeof(FlowTuple));
  MapIn(file.states(), flows * sizeof(FlowState));
  const int error = all_.Run();
  bytes_ = all_.bytes();
  return error;
}

uint32_t FlowCopy::CopyTouched() {
  std::memcpy(to_->data(), from_->data(), sizeof(FlowFileHeader));
  bytes_ = sizeof(FlowFileHeader);
  uint32_t count = 0;
  for (uint32_t block = 0; block < touched_.blocks(); ++block) {
    if (!touched_.Take(block)) continue;
    CopyBlock(block);
    ++count;
  }
  return count;
}

// Of second tuples only those that say something of a flow: where none ever did, the file has holes.
void FlowCopy::CopyBlock(uint32_t block) {
  const FlowFile from({from_->data(), from_->bytes()}, capacity_);
  const FlowFile to({to_->data(), to_->bytes()}, capacity_);
  const uint32_t first = block * TouchedFlows::kBlockFlows;
  const uint32_t count = std::min(TouchedFlows::kBlockFlows, capacity_ + 1 - first);
  std::memcpy(&to.tuple(first), &from.tuple(first), count * sizeof(FlowTuple));
  std::memcpy(to.states() + first, from.states() + first, count * sizeof(FlowState));
  bytes_ += count * (sizeof(FlowTuple) + sizeof(FlowState));
  for (uint32_t flow = first; flow < first + count; ++flow) {
    const uint32_t second = flow + from.second_base();
    const bool shifted = from.states()[flow].flags & abi::kFlowFlagShifted;
    if (from.tuple(flow).bound() || shifted) std::memcpy(&to.tuple(second), &from.tuple(second), sizeof(FlowTuple));
  }
}

}  // namespace sluice
