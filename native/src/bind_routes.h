// The functions of a lane that let its frames leave by routes and to the kernel (NativeLane in
// runtime/dataplane/native.ts).
#pragma once

#include <napi.h>

#include <memory>

#include "bind_lane.h"

namespace sluice {

void BindRoutes(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open);

}  // namespace sluice
