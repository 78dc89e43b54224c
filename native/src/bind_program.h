// LaneOptions (runtime/dataplane/native.ts) as C++ structures, checked once here.
#pragma once

#include <napi.h>

#include <optional>

#include "lane.h"

namespace sluice {

// Nothing if an option is missing, of the wrong type or out of range.
std::optional<LaneConfig> ReadLaneConfig(const Napi::Object& options);
std::optional<Program> ReadProgram(const Napi::Object& options, const LaneConfig& config);

}  // namespace sluice
