#include "page_copy.h"

#include <fcntl.h>
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

bool IsZero(const uint8_t* page) { return page[0] == 0 && std::memcmp(page, page + 1, kPageBytes - 1) == 0; }

class PageWriter {
 public:
  explicit PageWriter(std::span<uint8_t> to) : to_(to) {}

  // False if there is no room.
  bool Put(uint64_t number, const uint8_t* page) {
    if (IsZero(page)) return true;
    if (to_.size() - written_ < kCopiedPageBytes) return false;
    std::memcpy(to_.data() + written_, &number, sizeof(number));
    std::memcpy(to_.data() + written_ + sizeof(number), page, kPageBytes);
    written_ += kCopiedPageBytes;
    return true;
  }

  size_t written() const { return written_; }

 private:
  const std::span<uint8_t> to_;
  size_t written_ = 0;
};

int PageMap() {
  static const int descriptor = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  return descriptor;
}

}  // namespace

std::optional<size_t> CopyPages(std::span<const uint8_t> from, std::span<uint8_t> to) {
  PageWriter writer(to);
  const uint64_t first = reinterpret_cast<uintptr_t>(from.data()) / kPageBytes;
  const size_t pages = from.size() / kPageBytes;
  std::array<uint64_t, 4096> entries;
  for (size_t page = 0; page < pages;) {
    const size_t count = std::min(entries.size(), pages - page);
    const auto bytes = static_cast<ssize_t>(count * sizeof(uint64_t));
    if (pread(PageMap(), entries.data(), static_cast<size_t>(bytes),
              static_cast<off_t>((first + page) * sizeof(uint64_t))) != bytes) {
      return std::nullopt;
    }
    for (size_t i = 0; i < count; ++i, ++page) {
      if ((entries[i] & (kPresent | kSwapped)) == 0) continue;
      if (!writer.Put(page, from.data() + page * kPageBytes)) return std::nullopt;
    }
  }
  return writer.written();
}

std::optional<size_t> CopyPages(const Segment& from, std::span<uint8_t> to) {
  PageWriter writer(to);
  const auto end = static_cast<off_t>(from.bytes() / kPageBytes * kPageBytes);
  for (off_t at = 0; at < end;) {
    const off_t data = lseek(from.descriptor(), at, SEEK_DATA);
    if (data < 0 || data >= end) break;
    const off_t hole = std::min(lseek(from.descriptor(), data, SEEK_HOLE), end);
    for (at = data / static_cast<off_t>(kPageBytes) * static_cast<off_t>(kPageBytes); at < hole;
         at += static_cast<off_t>(kPageBytes)) {
      if (!writer.Put(static_cast<uint64_t>(at) / kPageBytes, from.data() + at)) return std::nullopt;
    }
  }
  return writer.written();
}

}  // namespace sluice
