// Zeroed memory of this process alone, from a page's start, for large tables that are read at random.
#pragma once

#include <cstddef>
#include <utility>

namespace sluice {

class PrivateMemory {
 public:
  // `settled` bytes of the `bytes` are there at once, in huge pages where the kernel has them: neither a page fault
  // nor, mostly, a missing address translation on the packet path. The rest is address space until it is used. data()
  // is null if there is no memory.
  static PrivateMemory Make(size_t bytes, size_t settled);

  PrivateMemory(PrivateMemory&& other) : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  ~PrivateMemory();
  PrivateMemory(const PrivateMemory&) = delete;
  PrivateMemory& operator=(const PrivateMemory&) = delete;

  void* data() const { return data_; }

 private:
  PrivateMemory(void* data, size_t bytes) : data_(data), bytes_(bytes) {}

  void* data_;
  size_t bytes_;
};

}  // namespace sluice
