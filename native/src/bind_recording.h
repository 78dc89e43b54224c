// What the flight recorder asks of lanes and memory (NativeLane and NativeAddon in runtime/dataplane/native.ts).
#pragma once

#include <napi.h>

#include <memory>

#include "bind_lane.h"

namespace sluice {

void BindRecording(Napi::Env env, Napi::Object exports);
// The recorder behind an object made by makeRecorder; null if it is something else.
std::shared_ptr<FlightRecorder> RecorderOf(const Napi::Value& value);
void BindLaneRecording(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open);

}  // namespace sluice
