// The addon's door: everything that JavaScript can call.
#include <napi.h>

#include "bind_afxdp.h"
#include "bind_file.h"
#include "bind_handover.h"
#include "bind_lane.h"
#include "bind_mirror.h"
#include "bind_parser.h"
#include "bind_recording.h"
#include "bind_segment.h"

namespace sluice {
namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  BindSegments(env, exports);
  BindLanes(env, exports);
  BindLaneThreads(env, exports);
  BindHandovers(env, exports);
  BindMirrors(env, exports);
  BindParser(env, exports);
  BindRecording(env, exports);
  BindCapture(env, exports);
  BindAfxdp(env, exports);
  return exports;
}

}  // namespace
}  // namespace sluice

static Napi::Object InitAddon(Napi::Env env, Napi::Object exports) { return sluice::Init(env, exports); }
NODE_API_MODULE(sluice, InitAddon)
