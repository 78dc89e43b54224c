#include "private_memory.h"

#include <sys/mman.h>

namespace sluice {

PrivateMemory PrivateMemory::Make(size_t bytes, size_t settled) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (data == MAP_FAILED) return {nullptr, 0};
  // Both are wishes: without them it is slower at first, nothing else.
  madvise(data, settled, MADV_HUGEPAGE);
  madvise(data, settled, MADV_POPULATE_WRITE);
  return {data, bytes};
}

PrivateMemory::~PrivateMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace sluice
