// Shared memory in a file: anonymous (memfd), or named, so that it outlives the process. And its pages put over a
// WebAssembly memory (runtime/README.md, "The overlay").
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "system_error.h"

namespace sluice {

class Segment {
 public:
  enum class Access { kReadWrite, kReadOnly };

  // `path` empty: an anonymous file. Otherwise the file is created if missing (mode 0600) and made `bytes` long.
  // Pages are populated on first use. Returns null and fills `error` on failure.
  static std::shared_ptr<Segment> Open(uint64_t bytes, const std::string& path, SystemError* error);

  // Maps the whole of an existing file, for observers.
  static std::shared_ptr<Segment> Attach(const std::string& path, SystemError* error);

  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }
  int descriptor() const { return descriptor_; }

 private:
  Segment(int descriptor, uint8_t* data, uint64_t bytes) : descriptor_(descriptor), data_(data), bytes_(bytes) {}
  static std::shared_ptr<Segment> Map(int descriptor, uint64_t bytes, Access access, const std::string& path,
                                      SystemError* error);

  const int descriptor_;
  uint8_t* const data_;
  const uint64_t bytes_;
};

// Pages of a segment that appear at `address` (bytes from the memory's base). All multiples of the page size.
struct Window {
  uint64_t address;
  const Segment* segment;
  uint64_t segment_offset;
  uint64_t bytes;
  bool writable;
};

// Makes [base, base + end) inaccessible, then maps the windows into it. The mappings end with the memory itself.
// A store into a window that is not writable, or any access outside of all windows, is a WebAssembly trap.
SystemError Overlay(uint8_t* base, uint64_t end, std::span<const Window> windows);

// After Overlay: what is in the segments already is reached through the windows without a fault. No page is added to a
// segment. Best effort (Linux 5.14).
void Populate(uint8_t* base, std::span<const Window> windows);

// The byte ranges of a file that are not holes, as beginning and end in turn.
SystemError FindData(const std::string& path, std::vector<uint64_t>* ranges);

}  // namespace sluice
