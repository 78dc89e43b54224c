// What a lane executes: the plan of a chain, resolved into indices (runtime/chain/plan.ts).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "match.h"

namespace sluice {

// Where a frame goes: a hop (>= 0), the port -1 - target, or nowhere.
using Target = int32_t;
inline constexpr Target kConsume = -1000;

inline bool IsHop(Target target) { return target >= 0; }
inline uint32_t PortOf(Target target) { return static_cast<uint32_t>(-1 - target); }

struct Hop {
  Target next;
  std::vector<Target> branches;
  uint64_t* counters;  // layout::kHopCounters*, then one per reason
  uint32_t reasons;    // declared by the function, with "unspecified"
  bool bypass;
  bool writable;
};

struct Path {
  uint32_t from;
  std::optional<Match> match;
  Target first;
};

struct Program {
  std::vector<Hop> hops;    // in topological order
  std::vector<Path> paths;  // first match wins
};

}  // namespace sluice
