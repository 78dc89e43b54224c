#include "state_copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice {

StateCopy::~StateCopy() {
  for (const Part& part : parts_) close(part.descriptor);
}

SystemError StateCopy::Add(const std::string& path, std::shared_ptr<Segment> to) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return errno == ENOENT ? SystemError{} : SystemError{"open", path, errno};
  parts_.push_back({descriptor, std::move(to)});
  return {};
}

int StateCopy::Run() {
  bytes_ = 0;
  for (const Part& part : parts_) {
    if (const int error = CopyPart(part); error != 0) return error;
  }
  return 0;
}

int StateCopy::CopyPart(const Part& part) {
  const auto end = static_cast<off_t>(part.to->bytes());
  off_t data = 0;
  while (data < end && (data = lseek(part.descriptor, data, SEEK_DATA)) >= 0) {
    const off_t hole = lseek(part.descriptor, data, SEEK_HOLE);
    if (hole < 0) return errno;
    const int error = CopyExtent(part, static_cast<uint64_t>(data), static_cast<uint64_t>(std::min(hole, end)));
    if (error != 0) return error;
    data = hole;
  }
  return data < 0 && errno != ENXIO ? errno : 0;
}

int StateCopy::CopyExtent(const Part& part, uint64_t begin, uint64_t end) {
  while (begin < end) {
    const ssize_t count = pread(part.descriptor, part.to->data() + begin, end - begin, static_cast<off_t>(begin));
    if (count < 0) return errno;
    if (count == 0) return 0;
    begin += static_cast<uint64_t>(count);
    bytes_ += static_cast<uint64_t>(count);
  }
  return 0;
}

}  // namespace sluice
