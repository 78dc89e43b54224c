// Where a shadow and the mirrored lane disagree, in groups of the same kind, with examples.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "layout.h"

namespace sluice {

// How a frame ended, in words that both sides share: indices into lists of names (runtime/dataplane/shadow-names.ts).
struct Ending {
  uint8_t kind;  // layout::kOutcomeKinds*
  uint8_t to;    // the port, of what was forwarded
  uint16_t function;
  uint16_t reason;
  uint16_t reserved;
  uint32_t detail;

  bool operator==(const Ending&) const = default;
};

// What of a forwarded frame differs first.
enum class Rewrite : uint8_t { kNone, kLength, kLink, kNetwork, kTransport, kPayload };  // layout::kRewriteParts*
static_assert(static_cast<uint32_t>(Rewrite::kPayload) == layout::kRewritePartsPayload);

struct Difference {
  Ending live;
  Ending next;
  Rewrite rewrite;
  uint64_t number;  // the mirrored lane's, of frame and flow
  uint32_t flow;
  uint64_t time_ns;
  std::span<const uint8_t> received;
  std::span<const uint8_t> live_bytes;  // as they left; empty if they did not
  std::span<const uint8_t> next_bytes;
};

struct DifferenceExample {
  uint64_t number;
  uint64_t time_ns;
  uint32_t flow;
  std::vector<uint8_t> received, live_bytes, next_bytes;
};

struct DifferenceGroup {
  static constexpr uint32_t kFlows = layout::kDifferenceFlows;

  Ending live;
  Ending next;
  Rewrite rewrite;
  uint64_t count = 0;
  uint32_t flow_count = 0;  // different flows; more are not told apart
  std::array<uint32_t, kFlows> flows;
  std::vector<DifferenceExample> examples;
};

class Differences {
 public:
  static constexpr uint32_t kGroups = 64;
  static constexpr uint32_t kExamples = layout::kDifferenceExamples;

  void Add(const Difference& difference);

  uint64_t count() const { return count_; }
  // In the order in which their first frames came.
  const std::vector<DifferenceGroup>& groups() const { return groups_; }
  // Frames of further kinds, when there was no room for a group.
  uint64_t ungrouped() const { return ungrouped_; }

 private:
  DifferenceGroup* GroupOf(const Difference& difference);

  std::vector<DifferenceGroup> groups_;
  uint64_t count_ = 0;
  uint64_t ungrouped_ = 0;
};

}  // namespace sluice
