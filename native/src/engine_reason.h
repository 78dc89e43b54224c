// Why the engine itself drops a frame, in short.
#pragma once

#include <cstdint>

#include "layout.h"

namespace sluice {

enum EngineReason : uint32_t {
  kNoPath = layout::kEngineDropReasonsNoPath,
  kOversize = layout::kEngineDropReasonsOversize,
  kPortFull = layout::kEngineDropReasonsPortFull,
  kPortGone = layout::kEngineDropReasonsPortGone,
  kHostUnavailable = layout::kEngineDropReasonsHostUnavailable,
  kFault = layout::kEngineDropReasonsFault,
  kBadVerdict = layout::kEngineDropReasonsBadVerdict,
  kBadTarget = layout::kEngineDropReasonsBadTarget,
  kBadReason = layout::kEngineDropReasonsBadReason,
  kBadLength = layout::kEngineDropReasonsBadLength,
  kNotWritable = layout::kEngineDropReasonsNotWritable,
  kLaneFull = layout::kEngineDropReasonsLaneFull,
};

}  // namespace sluice
