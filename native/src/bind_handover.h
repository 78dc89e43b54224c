// What lanes hand over to each other, as a JavaScript object (NativeHandover in runtime/dataplane/native.ts).
#pragma once

#include <napi.h>

#include <memory>

#include "handover.h"

namespace sluice {

void BindHandovers(Napi::Env env, Napi::Object exports);

// By its id; null if nobody holds it any more.
std::shared_ptr<Handover> HandoverOf(const Napi::Value& id);

}  // namespace sluice
