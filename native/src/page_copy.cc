#include "page_copy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace sluice {
namespace {

constexpr size_t kPageBytes = 4096;
// Of an entry of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst).
constexpr uint64_t kPresent = 1ull << 63;
constexpr uint64_t kSwapped = 1ull << 62;

int PageMap() {
  static const int descriptor = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  return descriptor;
}

// Calls visit(number) for each page that is there, until that returns false. False if so, or if the kernel does not
// say.
template <typename Visit>
bool VisitPages(std::span<const uint8_t> memory, Visit visit) {
  const uint64_t first = reinterpret_cast<uintptr_t>(memory.data()) / kPageBytes;
  const size_t pages = memory.size() / kPageBytes;
  std::array<uint64_t, 4096> entries;
  for (size_t page = 0; page < pages;) {
    const size_t count = std::min(entries.size(), pages - page);
    const size_t bytes = count * sizeof(uint64_t);
    const auto offset = static_cast<off_t>((first + page) * sizeof(uint64_t));
    if (pread(PageMap(), entries.data(), bytes, offset) != static_cast<ssize_t>(bytes)) return false;
    for (size_t i = 0; i < count; ++i, ++page) {
      if ((entries[i] & (kPresent | kSwapped)) != 0 && !visit(page)) return false;
    }
  }
  return true;
}

template <typename Visit>
bool VisitPages(const Segment& segment, Visit visit) {
  const auto end = static_cast<off_t>(segment.bytes() / kPageBytes * kPageBytes);
  for (off_t at = 0; at < end;) {
    const off_t data = lseek(segment.descriptor(), at, SEEK_DATA);
    if (data < 0 || data >= end) break;
    const auto hole = static_cast<size_t>(std::min(lseek(segment.descriptor(), data, SEEK_HOLE), end));
    for (size_t page = static_cast<size_t>(data) / kPageBytes; page * kPageBytes < hole; ++page) {
      if (!visit(page)) return false;
    }
    at = static_cast<off_t>(hole);
  }
  return true;
}

template <typename From>
std::optional<size_t> Count(const From& from) {
  size_t bytes = 0;
  const bool counted = VisitPages(from, [&](size_t) { return bytes += kCopiedPageBytes, true; });
  return counted ? std::optional(bytes) : std::nullopt;
}

template <typename From>
std::optional<size_t> Copy(const From& from, std::span<uint8_t> to) {
  size_t written = 0;
  const bool copied = VisitPages(from, [&](uint64_t page) {
    if (to.size() - written < kCopiedPageBytes) return false;
    std::memcpy(to.data() + written, &page, sizeof(page));
    std::memcpy(to.data() + written + sizeof(page), from.data() + page * kPageBytes, kPageBytes);
    written += kCopiedPageBytes;
    return true;
  });
  return copied ? std::optional(written) : std::nullopt;
}

}  // namespace

std::optional<size_t> CopiedBytes(std::span<const uint8_t> from) { return Count(from); }
std::optional<size_t> CopiedBytes(const Segment& from) { return Count(from); }
std::optional<size_t> CopyPages(std::span<const uint8_t> from, std::span<uint8_t> to) { return Copy(from, to); }
std::optional<size_t> CopyPages(const Segment& from, std::span<uint8_t> to) { return Copy(from, to); }

void Populate(std::span<uint8_t> memory) {
  const uintptr_t first = (reinterpret_cast<uintptr_t>(memory.data()) + kPageBytes - 1) / kPageBytes * kPageBytes;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(memory.data()) + memory.size()) / kPageBytes * kPageBytes;
  if (last <= first) return;
  // A wish: without it, it is slower.
  madvise(reinterpret_cast<void*>(first), last - first, MADV_POPULATE_WRITE);
}

}  // namespace sluice
