// LaneOptions (runtime/dataplane/native.ts) as C++ structures, checked once here.
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "lane.h"

namespace sluice {

// Nothing if an option is missing, of the wrong type or out of range. A program's counters are in the lane's segment.
std::optional<LaneConfig> ReadLaneConfig(const Napi::Object& options);
// Prefix[] of runtime/chain/plan.ts; empty if it is no list.
std::vector<Prefix> ReadPrefixes(const Napi::Value& list);
std::vector<uint8_t> ReadPortNumbers(const Napi::Value& list);
// Match of runtime/chain/plan.ts.
Match ReadMatch(const Napi::Object& object);
std::shared_ptr<Program> ReadProgram(const Napi::Object& options, const LaneConfig& config);

}  // namespace sluice
