// A copy of a lane's state (flow table, columns, segments) as it is between two turns: files into private memory.
//
// A private mapping of the files would not do: what it has not written yet goes on to follow the file, and shows
// several moments at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "segment.h"

namespace sluice {

class StateCopy {
 public:
  StateCopy() = default;
  ~StateCopy();
  StateCopy(const StateCopy&) = delete;
  StateCopy& operator=(const StateCopy&) = delete;

  // From the file `path` into `to`, which is all zeros; both have to.bytes(). A file that is not there is all zeros,
  // too.
  SystemError Add(const std::string& path, std::shared_ptr<Segment> to);

  // Copies all that the files hold; holes stay holes. errno, or 0. Allocates nothing, so that the lane can do it.
  int Run();

  // Of the last Run.
  uint64_t bytes() const { return bytes_; }

 private:
  struct Part {
    int descriptor;
    std::shared_ptr<Segment> to;
  };
  int CopyPart(const Part& part);
  int CopyExtent(const Part& part, uint64_t begin, uint64_t end);

  std::vector<Part> parts_;
  uint64_t bytes_ = 0;
};

}  // namespace sluice
