#include "mirror_ring.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

namespace sluice {

std::unique_ptr<MirrorRing> MirrorRing::Make(uint64_t bytes, SystemError* error) {
  std::shared_ptr<Segment> segment = Segment::Open(bytes, "", error);
  if (!segment) return nullptr;
  void* room = mmap(nullptr, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) {
    *error = {"mmap", "mirror", errno};
    return nullptr;
  }
  auto* data = static_cast<uint8_t*>(room);
  for (uint8_t* half : {data, data + bytes}) {
    if (mmap(half, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, segment->descriptor(), 0) == MAP_FAILED) {
      *error = {"mmap", "mirror", errno};
      munmap(room, 2 * bytes);
      return nullptr;
    }
    madvise(half, bytes, MADV_POPULATE_WRITE);  // or the packet path meets a page fault per page
  }
  return std::unique_ptr<MirrorRing>(new MirrorRing(std::move(segment), data));
}

MirrorRing::~MirrorRing() { munmap(data_, 2 * bytes_); }

bool MirrorRing::HasRoom(uint64_t count) {
  const uint64_t head = head_.load(std::memory_order_relaxed);
  const auto room = [&] { return bytes_ - (head - known_tail_); };
  if (count > room()) known_tail_ = tail_.load(std::memory_order_acquire);
  return count <= room();
}

}  // namespace sluice
