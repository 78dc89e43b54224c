// A ring of bytes between two threads, one that writes and one that reads. Its memory is mapped twice in a row, so that
// whatever lies in it is in one piece for both.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "segment.h"

namespace sluice {

class MirrorRing {
 public:
  // `bytes` is a multiple of the page size, and all there from the beginning. Null, with `error` filled, on failure.
  static std::unique_ptr<MirrorRing> Make(uint64_t bytes, SystemError* error);
  ~MirrorRing();
  MirrorRing(const MirrorRing&) = delete;
  MirrorRing& operator=(const MirrorRing&) = delete;

  uint64_t bytes() const { return bytes_; }
  // What was published and not given back. From any thread.
  uint64_t filled() const { return head_.load(std::memory_order_acquire) - tail_.load(std::memory_order_acquire); }

  // The writer's: if it has room for them, `count` bytes from `back` are free; Publish shows them to the reader.
  uint8_t* back() const { return data_ + head_.load(std::memory_order_relaxed) % bytes_; }
  bool HasRoom(uint64_t count);
  void Publish(uint64_t count) {
    head_.store(head_.load(std::memory_order_relaxed) + count, std::memory_order_release);
  }

  // The reader's: `filled` bytes from `front`; Release gives the first `count` of them back.
  const uint8_t* front() const { return data_ + tail_.load(std::memory_order_relaxed) % bytes_; }
  void Release(uint64_t count) {
    tail_.store(tail_.load(std::memory_order_relaxed) + count, std::memory_order_release);
  }

 private:
  MirrorRing(std::shared_ptr<Segment> segment, uint8_t* data)
      : segment_(std::move(segment)), data_(data), bytes_(segment_->bytes()) {}

  const std::shared_ptr<Segment> segment_;
  uint8_t* const data_;
  const uint64_t bytes_;
  // Each on a cache line of the thread that writes it.
  alignas(64) std::atomic<uint64_t> head_ = 0;
  uint64_t known_tail_ = 0;  // the writer's last look at the other's
  alignas(64) std::atomic<uint64_t> tail_ = 0;
};

}  // namespace sluice
