#include "segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sluice {
namespace {

SystemError Failed(const char* call, const std::string& subject) { return {call, subject, errno}; }

}  // namespace

std::shared_ptr<Segment> Segment::Open(uint64_t bytes, const std::string& path, SystemError* error) {
  const bool anonymous = path.empty();
  const int descriptor =
      anonymous ? memfd_create("sluice", MFD_CLOEXEC) : open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    *error = Failed(anonymous ? "memfd_create" : "open", path);
    return nullptr;
  }
  if (ftruncate(descriptor, static_cast<off_t>(bytes)) != 0) {
    *error = Failed("ftruncate", path);
    close(descriptor);
    return nullptr;
  }
  return Map(descriptor, bytes, Access::kReadWrite, path, error);
}

std::shared_ptr<Segment> Segment::Attach(const std::string& path, SystemError* error) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    *error = Failed("open", path);
    return nullptr;
  }
  struct stat status;
  if (fstat(descriptor, &status) != 0) {
    *error = Failed("fstat", path);
    close(descriptor);
    return nullptr;
  }
  return Map(descriptor, static_cast<uint64_t>(status.st_size), Access::kReadOnly, path, error);
}

std::shared_ptr<Segment> Segment::Map(int descriptor, uint64_t bytes, Access access, const std::string& path,
                                      SystemError* error) {
  const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  void* data = mmap(nullptr, bytes, protection, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) {
    *error = Failed("mmap", path);
    close(descriptor);
    return nullptr;
  }
  return std::shared_ptr<Segment>(new Segment(descriptor, static_cast<uint8_t*>(data), bytes));
}

Segment::~Segment() {
  munmap(data_, bytes_);
  close(descriptor_);
}

SystemError Overlay(uint8_t* base, uint64_t end, std::span<const Window> windows) {
  constexpr int kHidden = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  if (mmap(base, end, PROT_NONE, kHidden, -1, 0) == MAP_FAILED) return Failed("mmap", "windows");
  for (const Window& window : windows) {
    const int protection = window.writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void* mapped = mmap(base + window.address, window.bytes, protection, MAP_SHARED | MAP_FIXED,
                        window.segment->descriptor(), static_cast<off_t>(window.segment_offset));
    if (mapped == MAP_FAILED) return Failed("mmap", "window");
  }
  return {};
}

SystemError FindData(const std::string& path, std::vector<uint64_t>* ranges) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return Failed("open", path);
  off_t at = lseek(descriptor, 0, SEEK_DATA);
  while (at >= 0) {
    const off_t end = lseek(descriptor, at, SEEK_HOLE);
    if (end < 0) break;
    ranges->insert(ranges->end(), {static_cast<uint64_t>(at), static_cast<uint64_t>(end)});
    at = lseek(descriptor, end, SEEK_DATA);
  }
  // ENXIO: there is no data behind that place.
  const SystemError error = errno == ENXIO ? SystemError{} : Failed("lseek", path);
  close(descriptor);
  return error;
}

void Populate(uint8_t* base, std::span<const Window> windows) {
  for (const Window& window : windows) {
    const int file = window.segment->descriptor();
    const auto begin = static_cast<off_t>(window.segment_offset);
    const auto end = begin + static_cast<off_t>(window.bytes);
    for (off_t at = begin; at < end;) {
      const off_t data = lseek(file, at, SEEK_DATA);
      if (data < 0 || data >= end) break;
      const off_t hole = std::min(lseek(file, data, SEEK_HOLE), end);
      if (hole <= data) break;
      madvise(base + window.address + (data - begin), static_cast<size_t>(hole - data),
              window.writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
      at = hole;
    }
  }
}

}  // namespace sluice
