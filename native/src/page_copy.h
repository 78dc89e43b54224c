// Copies of memory that is mostly untouched: only its pages that are there, each as its number (u64) and its bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "segment.h"

namespace sluice {

inline constexpr size_t kCopiedPageBytes = sizeof(uint64_t) + 4096;

// What a copy takes; nothing if the kernel does not say which pages are there.
std::optional<size_t> CopiedBytes(std::span<const uint8_t> from);
std::optional<size_t> CopiedBytes(const Segment& from);

// Of private memory of this process, from a page's start. The bytes written, or nothing if there is more than `to`
// holds.
std::optional<size_t> CopyPages(std::span<const uint8_t> from, std::span<uint8_t> to);

// Of a segment. Its holes stay holes.
std::optional<size_t> CopyPages(const Segment& from, std::span<uint8_t> to);

// Fresh memory gets its pages at once, which is many times faster than one fault for each.
void Populate(std::span<uint8_t> memory);

}  // namespace sluice
