// A mirror as a JavaScript object (NativeMirror in runtime/dataplane/native.ts), and the shadow's end of it.
#pragma once

#include <napi.h>

#include <memory>

#include "bind_lane.h"
#include "mirror.h"

namespace sluice {

void BindMirrors(Napi::Env env, Napi::Object exports);

// The functions of a lane that are about mirrors.
void BindLaneMirrors(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open);

}  // namespace sluice
