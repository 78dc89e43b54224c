// A mirror as a JavaScript object (NativeMirror in runtime/dataplane/native.ts), and the shadow's end of it.
#pragma once

#include <napi.h>

#include <memory>

#include "bind_lane.h"
#include "frame_filter.h"
#include "mirror.h"

namespace sluice {

void BindMirrors(Napi::Env env, Napi::Object exports);

// By its id; null if nobody holds it.
std::shared_ptr<Mirror> FindMirror(const Napi::Value& id);

// bind_mirror_source.cc: opens the ports of a shadow's lane.
Napi::Value FollowMirror(const Napi::CallbackInfo& info, const std::shared_ptr<OpenLane>& open);

// bind_mirror_tap.cc: a mirror that is read for its own sake.
Napi::Value OpenTap(const Napi::CallbackInfo& info);
// FrameFilter of runtime/dataplane/native-mirror.ts.
FrameFilter ReadFilter(const Napi::Object& object);

// The functions of a lane that are about mirrors.
void BindLaneMirrors(Napi::Env env, Napi::Object object, const std::shared_ptr<OpenLane>& open);

}  // namespace sluice
