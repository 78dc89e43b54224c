#include "stream_buffer.h"

namespace sluice {

StreamBuffer::StreamBuffer(std::span<uint8_t> memory) : memory_(memory.data()) {
  const auto count = static_cast<uint32_t>(memory.size() / kStreamBlockBytes);
  blocks_ = std::make_unique<StreamBlock[]>(count + 1);
  for (uint32_t block = 1; block < count; ++block) blocks_[block].next = block + 1;
  free_ = count > 0 ? 1 : 0;
}

uint32_t StreamBuffer::Take() {
  const uint32_t block = free_;
  if (block == 0) return 0;
  free_ = blocks_[block].next;
  ++used_;
  return block;
}

void StreamBuffer::Release(uint32_t block) {
  blocks_[block].next = free_;
  free_ = block;
  --used_;
}

void StreamBuffer::Retire(uint32_t block) {
  if (retired_ == 0) retired_last_ = block;
  blocks_[block].next = retired_;
  retired_ = block;
  ++retired_count_;
}

void StreamBuffer::Reclaim() {
  if (retired_ == 0) return;
  blocks_[retired_last_].next = free_;
  free_ = retired_;
  used_ -= retired_count_;
  retired_ = 0;
  retired_count_ = 0;
}

}  // namespace sluice
