// Writes down a call of a function with all that it was given (layout::kCall*): for bundles of faults.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace sluice {

// Appends to memory that is known to suffice; every part begins at a multiple of 8.
class CallWriter {
 public:
  explicit CallWriter(uint8_t* start) : start_(start), at_(start) {}

  static constexpr size_t Padded(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

  template <typename T>
  void Put(T value) {
    std::memcpy(at_, &value, sizeof(value));
    at_ += sizeof(value);
  }

  void Put(const void* bytes, size_t count) {
    std::memcpy(at_, bytes, count);
    at_ += count;
  }

  void Skip(size_t bytes) {
    std::memset(at_, 0, bytes);
    at_ += bytes;
  }

  void Pad() { Skip(Padded(written()) - written()); }

  size_t written() const { return static_cast<size_t>(at_ - start_); }

 private:
  uint8_t* const start_;
  uint8_t* at_;
};

}  // namespace sluice
