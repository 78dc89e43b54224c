// The memory in which payload waits for what comes before it, in blocks. Part of stream_table.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "stream_table.h"

namespace sluice {

// Neighbouring bytes of one stream. Each lies where its sequence number says (sequence % kStreamBlockBytes), so that
// what comes before or behind can join it without a move.
struct StreamBlock {
  uint32_t sequence;  // of the first byte
  uint16_t length;
  uint16_t lost;         // so many bytes behind the last were cut from their frame
  uint16_t doubt_begin;  // where in the block the first and the last byte lie of which two copies differed
  uint16_t doubt_end;    // one behind the last; 0 for none
  uint32_t next;
  uint64_t since_ns;  // since when bytes before this block are known to be missing

  uint32_t end() const { return sequence + length; }
};

class StreamBuffer {
 public:
  explicit StreamBuffer(std::span<uint8_t> memory);
  StreamBuffer(const StreamBuffer&) = delete;
  StreamBuffer& operator=(const StreamBuffer&) = delete;

  // 0 if there is none. Blocks are numbered from 1.
  uint32_t Take();
  void Release(uint32_t block);
  // A chunk lies in the block: it is free after Reclaim.
  void Retire(uint32_t block);
  void Reclaim();

  StreamBlock& operator[](uint32_t block) { return blocks_[block]; }
  uint32_t OffsetOf(uint32_t block, uint32_t sequence) const {
    return (block - 1) * kStreamBlockBytes + sequence % kStreamBlockBytes;
  }
  uint8_t* At(uint32_t block, uint32_t sequence) { return memory_ + OffsetOf(block, sequence); }

  bool full() const { return free_ == 0; }
  uint64_t used_bytes() const { return uint64_t{used_} * kStreamBlockBytes; }

 private:
  uint8_t* const memory_;
  std::unique_ptr<StreamBlock[]> blocks_;
  uint32_t free_ = 0;     // a list, the last released first: it is still in the cache
  uint32_t retired_ = 0;  // a list
  uint32_t retired_last_ = 0;
  uint32_t retired_count_ = 0;
  uint32_t used_ = 0;
};

}  // namespace sluice
