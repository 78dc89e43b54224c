// What a lane executes: the plan of a chain, resolved into indices (runtime/chain/plan.ts).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "match.h"
#include "segment.h"

namespace sluice {

// Where a frame goes: a hop (>= 0), the port -1 - target, or nowhere.
using Target = int32_t;
inline constexpr Target kConsume = -1000;

inline bool IsHop(Target target) { return target >= 0; }
inline uint32_t PortOf(Target target) { return static_cast<uint32_t>(-1 - target); }

// The pages that a function and its lane exchange besides batch and results; null for those that it has no use for.
struct Function {
  uint8_t* outbox = nullptr;     // abi::kOutbox*
  uint8_t* chunks = nullptr;     // abi::kChunks*
  uint8_t* events = nullptr;     // abi::kEvents*
  uint32_t subscribes = 0;       // event bits
  uint32_t subscriber = 0;       // its queue in the flow engine
  uint32_t defines = 0;          // event bits that it may raise
  uint32_t labels = 0;           // label bits that it may set
  uint64_t* counters = nullptr;  // layout::kFunctionCounters*
};

struct Hop {
  uint32_t function;
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
  std::vector<std::shared_ptr<Segment>> segments;  // that the functions' pages are in
  std::vector<Function> functions;
  std::vector<Hop> hops;    // in topological order
  std::vector<Path> paths;  // first match wins
};

}  // namespace sluice
