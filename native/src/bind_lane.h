// A lane as a JavaScript object (NativeLane in runtime/dataplane/native.ts).
#pragma once

#include <napi.h>

#include <memory>

#include "lane.h"

namespace sluice {

// What the object's functions share. `lane` is null once it is closed.
struct OpenLane {
  std::unique_ptr<Lane> lane;
};

void BindLanes(Napi::Env env, Napi::Object exports);

// bind_ports.cc: the functions that open ports, and what they return.
void BindPorts(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open);

// The lane, or null after throwing if it is closed.
Lane* LaneOf(Napi::Env env, const OpenLane& open);

}  // namespace sluice
