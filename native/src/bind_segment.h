// Segments as JavaScript objects.
#pragma once

#include <napi.h>

#include <memory>

#include "segment.h"

namespace sluice {

void BindSegments(Napi::Env env, Napi::Object exports);

// The segment behind an object made by openSegment or attachSegment; null if it is something else.
std::shared_ptr<Segment> SegmentOf(const Napi::Value& value);

}  // namespace sluice
