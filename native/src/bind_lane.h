// A lane as a JavaScript object (NativeLane in runtime/dataplane/native.ts).
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>

#include "lane.h"

namespace sluice {

// What the object's functions share. `lane` is null once it is closed.
struct OpenLane {
  std::unique_ptr<Lane> lane;
  std::mutex closing;  // who looks at the lane from another thread holds it; so does who closes the lane
  uint32_t id = 0;     // by which other threads' environments attach to it
};

void BindLanes(Napi::Env env, Napi::Object exports);

// bind_lane_threads.cc: what belongs to no lane, but to the threads that have it.
void BindLaneThreads(Napi::Env env, Napi::Object exports);

// bind_ports.cc: the functions that open ports, and what they return.
void BindPorts(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open);

// The lane, or null after throwing if it is closed.
Lane* LaneOf(Napi::Env env, const OpenLane& open);

}  // namespace sluice
